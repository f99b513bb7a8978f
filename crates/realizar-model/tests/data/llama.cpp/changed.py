#!/usr/bin/env python3
"""Golden files with other numbers or more tensors, and what llama.cpp says of them.

    changed.py DATA LLAMA_SERVER OUT_FOLDER [NAME ...]

DATA has the folders `zoo` and `zoo-modern`. changed/NAME.json holds the file, what is set and removed, the tensors that are
added as in make.py, and the rows. The file itself is not stored: a test changes the golden file in the same way.
"""
import json, sys
from pathlib import Path

import gguf

from make import LENGTHS, TOKENS, answers, values


def rows(layers, *parts):
    """Tensors of some layers: name, dims, scale, offset."""
    return [[f"blk.{layer}.{name}", *rest] for layer in layers for name, *rest in parts]


# Name: file, keys that are set, keys that are removed, tensors that are added.
CASES = {
    "lfm2-window": ("zoo-modern/lfm2", {"lfm2.attention.sliding_window": 8}, [], []),
    "granite-unrotated": ("zoo/granite", {"granite.rope.scaling.finetuned": False}, [], []),
    "granitemoe-unrotated": ("zoo-modern/granitemoe", {"granitemoe.rope.scaling.finetuned": False}, [], []),
    "granitehybrid-logits": ("zoo-modern/granitehybrid", {}, ["granitehybrid.logit_scale"], []),
    "nemotron_h-epsilon": ("zoo-modern/nemotron_h", {"nemotron_h.attention.layer_norm_epsilon": 0.01},
                           ["nemotron_h.attention.layer_norm_rms_epsilon"], []),
    "mistral4-multiplier": ("zoo-modern/mistral4", {"mistral4.rope.scaling.yarn_log_multiplier": 0.0707}, [], []),
    "mistral4-factor": ("zoo-modern/mistral4", {"mistral4.rope.scaling.attn_factor": 1.25}, [], []),
    "mistral4-plain": ("zoo-modern/mistral4", {}, ["mistral4.rope.scaling.yarn_log_multiplier"], []),
    "deepseek32-multiplier": ("zoo-modern/deepseek32", {"deepseek32.rope.scaling.yarn_log_multiplier": 0.2}, [], []),
    "afmoe-norm": ("zoo-modern/afmoe", {}, ["afmoe.expert_weights_norm"], []),
    "bailingmoe2-norm": ("zoo-modern/bailingmoe2", {}, ["bailingmoe2.expert_weights_norm"], []),
    "cohere2moe-norm": ("zoo-modern/cohere2moe", {}, ["cohere2moe.expert_weights_norm"], []),
    "dots1-norm": ("zoo-modern/dots1", {}, ["dots1.expert_weights_norm"], []),
    "exaone-moe-norm": ("zoo-modern/exaone-moe", {}, ["exaone-moe.expert_weights_norm"], []),
    "step35-norm": ("zoo-modern/step35", {}, ["step35.expert_weights_norm"], []),
    "hunyuan-dense-alpha": ("zoo-modern/hunyuan-dense", {"hunyuan-dense.rope.scaling.alpha": 50.0}, [], []),
    "step35-factor": ("zoo-modern/step35", {"step35.rope.scaling.attn_factor": 1.3}, [], []),
    "mimo2-factor": ("zoo-modern/mimo2", {"mimo2.rope.scaling.attn_factor": 1.3}, [], []),
    "glm4-sections": ("zoo/glm4", {"glm4.rope.dimension_sections": [2, 1, 1, 0]}, [], []),
    "glm4moe-norm": ("zoo-modern/glm4moe", {}, ["glm4moe.expert_weights_norm"], []),
    "nemotron_h_moe-norm": ("zoo-modern/nemotron_h_moe", {}, ["nemotron_h_moe.expert_weights_norm"], []),
    "mamba2-numbers": ("zoo-modern/mamba2", {}, ["mamba2.feed_forward_length", "mamba2.attention.head_count"], []),
    "falcon-h1-biases": ("zoo-modern/falcon-h1", {}, [], "attn_q attn_k attn_v ffn_gate ffn_up ffn_down"),
    "lfm2-biases": ("zoo-modern/lfm2", {}, [], "attn_q attn_k attn_v"),
    "apertus-biases": ("zoo-modern/apertus", {}, [], "attn_q attn_k attn_v attn_output"),
    "dots1-biases": ("zoo-modern/dots1", {}, [], "attn_q attn_k attn_v"),
    "qwen35moe-scales": ("zoo-modern/qwen35moe", {}, [],
                         "*ffn_gate_exps *ffn_up_exps *ffn_down_exps .ssm_out .ssm_alpha .ssm_beta .attn_qkv .attn_gate"),
    "nemotron_h_moe-scales": ("zoo-modern/nemotron_h_moe", {}, [],
                              "*ffn_up_exps *ffn_down_exps .ssm_in .ssm_out .ffn_up_shexp .ffn_down_shexp"),
}


def added(words, shapes):
    """Biases; with `*` factors per expert, with `.` one factor. Beside every weight of that name."""
    out = []
    for word in words.split() if words else []:
        stem = word.lstrip("*.")
        for name, shape in shapes.items():
            if not name.endswith(f".{stem}.weight"):
                continue
            base = name.removesuffix("weight")
            if word[0] == "*":
                out.append([base + "scale", [shape[0]], 0.5, 1.0])
            elif word[0] == ".":
                out.append([base + "scale", [1], 0.3, 1.0])
            else:
                out.append([base + "bias", [shape[0]], 0.5, 0.0])
    return out


def write(path, reader, arch, sets, removes, tensors):
    writer = gguf.GGUFWriter(path, arch)
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture" or key in removes or key in sets:
            continue
        kind, value = field.types[0], field.contents()
        if kind == gguf.GGUFValueType.ARRAY:
            writer.add_key_value(key, value, kind, sub_type=field.types[-1])
        else:
            writer.add_key_value(key, value, kind)
    for key, value in sets.items():
        if isinstance(value, list):
            writer.add_array(key, value)
            continue
        add = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32}[type(value)]
        add(key, value)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    for row in tensors:
        writer.add_tensor(row[0], values(*row))
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()


def main():
    data, server, out = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    folder = Path(__file__).parent / "changed"
    folder.mkdir(exist_ok=True)
    for port, name in enumerate(sys.argv[4:] or CASES, 18400):
        file, sets, removes, words = CASES[name]
        reader = gguf.GGUFReader(data / f"{file}.gguf")
        arch = reader.fields["general.architecture"].contents()
        shapes = {tensor.name: [int(dim) for dim in reversed(tensor.shape)] for tensor in reader.tensors}
        tensors = added(words, shapes)
        path = out / f"{name}.gguf"
        write(path, reader, arch, sets, removes, tensors)
        try:
            found = answers(server, path, port, reader)
        except Exception as error:
            print(name, "refused:", error)
            continue
        golden = dict(file=file, set=sets, remove=removes, add=tensors, tokens=TOKENS, lengths=LENGTHS, rows=found)
        (folder / f"{name}.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
        print(name, [round(max(row), 3) for row in found])


main()
