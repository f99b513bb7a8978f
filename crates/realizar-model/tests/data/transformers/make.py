"""Tiny checkpoints of Hugging Face classes and the logits that the transformers library computes for them.

usage: make.py OUT_DIR [NAME ...]       (needs torch, transformers 4.57.1 (for ministral3 5.24), safetensors, numpy)

Weights are not stored: each is made from its name, so that a test can make them again. Element i of tensor T is
`offset + scale * (2 k - 255) / 256` where k is the top byte of splitmix64(fnv1a(T) + (i + 1) * 0x9e3779b97f4a7c15);
such values are exact in F32, F16 and BF16. OUT_DIR/NAME.json: config.json, tensors [name, shape, scale, offset], token ids,
positions, and the logits (or, for encoders, the states) at those positions.
"""
import json, sys, tempfile, pathlib
import numpy as np, torch, transformers as tf
from safetensors import safe_open
from safetensors.numpy import save_file

M = (1 << 64) - 1
def fnv(name):
    h = 0xcbf29ce484222325
    for b in name.encode():
        h = ((h ^ b) * 0x100000001b3) & M
    return h

def top_bytes(name, n):
    with np.errstate(over="ignore"):
        z = np.uint64(fnv(name)) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9e3779b97f4a7c15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
        z = z ^ (z >> np.uint64(31))
    return z >> np.uint64(56)

def weights(name, shape, scale, offset):
    k = top_bytes(name, int(np.prod(shape))).astype(np.float32)
    return (offset + scale * (2 * k - 255) / 256).astype(np.float32).reshape(shape)

BASE = dict(vocab_size=48, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=0)
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=16)
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)
MINISTRAL = dict(rope_type="yarn", rope_theta=1e6, factor=4.0, original_max_position_embeddings=8, beta_fast=32.0, beta_slow=1.0,
                 mscale=1.0, mscale_all_dim=1.0, llama_4_scaling_beta=0.1)
DS = dict(kv_lora_rank=16, qk_nope_head_dim=8, qk_rope_head_dim=4, v_head_dim=12, n_routed_experts=8, num_experts_per_tok=3,
          n_shared_experts=2, moe_intermediate_size=16, first_k_dense_replace=1, routed_scaling_factor=1.5, num_key_value_heads=4)
LONG = dict(type="longrope", short_factor=[1.0, 1.25, 1.5, 2.0], long_factor=[1.0, 2.0, 3.5, 6.0])

# name: (class, configuration beyond BASE)
CASES = {
    "llama": ("LlamaForCausalLM", dict(tie_word_embeddings=False)),
    "llama-llama3": ("LlamaForCausalLM", dict(tie_word_embeddings=True, rope_scaling=LLAMA3, head_dim=16)),
    "llama-linear": ("LlamaForCausalLM", dict(rope_scaling=dict(rope_type="linear", factor=4.0), attention_bias=True, mlp_bias=True)),
    "llama-dynamic": ("LlamaForCausalLM", dict(rope_scaling=dict(rope_type="dynamic", factor=2.0))),
    "mistral": ("MistralForCausalLM", dict(sliding_window=5, head_dim=16)),
    "mistral-whole": ("MistralForCausalLM", dict(sliding_window=None)),
    "ministral3": ("Ministral3ForCausalLM", dict(head_dim=16, tie_word_embeddings=False, rope_parameters=MINISTRAL)),
    "mixtral": ("MixtralForCausalLM", dict(num_local_experts=4, num_experts_per_tok=2, sliding_window=None)),
    "qwen2": ("Qwen2ForCausalLM", dict(tie_word_embeddings=True, rope_scaling=YARN)),
    "qwen2moe": ("Qwen2MoeForCausalLM", dict(num_experts=6, num_experts_per_tok=3, moe_intermediate_size=16,
                 shared_expert_intermediate_size=24, norm_topk_prob=False)),
    "qwen3": ("Qwen3ForCausalLM", dict(head_dim=16, tie_word_embeddings=True)),
    "qwen3moe": ("Qwen3MoeForCausalLM", dict(num_experts=6, num_experts_per_tok=3, moe_intermediate_size=16, head_dim=16,
                 norm_topk_prob=True)),
    "qwen3moe-raw": ("Qwen3MoeForCausalLM", dict(num_experts=6, num_experts_per_tok=3, moe_intermediate_size=16, head_dim=8,
                 norm_topk_prob=False)),
    "gemma": ("GemmaForCausalLM", dict(head_dim=16)),
    "gemma2": ("Gemma2ForCausalLM", dict(head_dim=16, query_pre_attn_scalar=20, sliding_window=5, attn_logit_softcapping=3.0,
               final_logit_softcapping=5.0, num_hidden_layers=3)),
    "gemma3": ("Gemma3ForCausalLM", dict(head_dim=16, query_pre_attn_scalar=24, sliding_window=5, num_hidden_layers=7,
               rope_theta=1e6, rope_local_base_freq=1e4, rope_scaling=dict(rope_type="linear", factor=8.0))),
    "phi2": ("PhiForCausalLM", dict(partial_rotary_factor=0.5, num_key_value_heads=4)),
    "phi3": ("Phi3ForCausalLM", dict(sliding_window=None, tie_word_embeddings=False)),
    "phi3-window": ("Phi3ForCausalLM", dict(sliding_window=5, partial_rotary_factor=0.5, tie_word_embeddings=True)),
    "phi3-longrope-short": ("Phi3ForCausalLM", dict(sliding_window=None, original_max_position_embeddings=32, rope_scaling=LONG)),
    "phi3-longrope": ("Phi3ForCausalLM", dict(sliding_window=None, original_max_position_embeddings=8, rope_scaling=LONG)),
    "gpt2": ("GPT2LMHeadModel", None),
    "gptneox": ("GPTNeoXForCausalLM", dict(rotary_pct=0.5, use_parallel_residual=True)),
    "gptneox-seq": ("GPTNeoXForCausalLM", dict(rotary_pct=1.0, use_parallel_residual=False)),
    "falcon-7b": ("FalconForCausalLM", dict(multi_query=True, new_decoder_architecture=False, parallel_attn=True, bias=False, alibi=False)),
    "falcon-40b": ("FalconForCausalLM", dict(num_kv_heads=2, new_decoder_architecture=True, bias=False, alibi=False)),
    "falcon-11b": ("FalconForCausalLM", dict(num_kv_heads=2, new_decoder_architecture=True, num_ln_in_parallel_attn=1, bias=False, alibi=False)),
    "starcoder2": ("Starcoder2ForCausalLM", dict(sliding_window=5, use_bias=True)),
    "stablelm": ("StableLmForCausalLM", dict(partial_rotary_factor=0.5, use_qkv_bias=True, qk_layernorm=False, use_parallel_residual=False)),
    "stablelm-12b": ("StableLmForCausalLM", dict(partial_rotary_factor=0.5, use_qkv_bias=False, qk_layernorm=True, use_parallel_residual=True)),
    "olmo2": ("Olmo2ForCausalLM", dict()),
    "olmo3": ("Olmo3ForCausalLM", dict(sliding_window=5, num_hidden_layers=5, rope_scaling=YARN)),
    "granite": ("GraniteForCausalLM", dict(embedding_multiplier=3.0, logits_scaling=2.0, residual_multiplier=0.5, attention_multiplier=0.2)),
    "cohere": ("CohereForCausalLM", dict(logit_scale=0.25, use_qk_norm=False)),
    "cohere-plus": ("CohereForCausalLM", dict(logit_scale=0.25, use_qk_norm=True)),
    "cohere2": ("Cohere2ForCausalLM", dict(logit_scale=0.25, sliding_window=5, num_hidden_layers=5)),
    "smollm3": ("SmolLM3ForCausalLM", dict(num_hidden_layers=5)),
    "glm4": ("Glm4ForCausalLM", dict(head_dim=16, partial_rotary_factor=0.5, attention_bias=True)),
    "deepseek2-lite": ("DeepseekV2ForCausalLM", dict(DS, q_lora_rank=None, topk_method="greedy", norm_topk_prob=False)),
    "deepseek2-rank": ("DeepseekV2ForCausalLM", dict(DS, q_lora_rank=12, topk_method="greedy", norm_topk_prob=False)),
    "deepseek2-groups": ("DeepseekV2ForCausalLM", dict(DS, q_lora_rank=12, topk_method="group_limited_greedy", n_group=4, topk_group=2,
                         norm_topk_prob=False)),
    "deepseek3": ("DeepseekV3ForCausalLM", dict(DS, q_lora_rank=12, n_group=4, topk_group=2, norm_topk_prob=True,
                  rope_scaling=dict(type="yarn", factor=4.0, original_max_position_embeddings=16, mscale=1.0, mscale_all_dim=1.0,
                  beta_fast=32, beta_slow=1))),
    "deepseek3-plain": ("DeepseekV3ForCausalLM", dict(DS, q_lora_rank=None, n_group=1, topk_group=1, norm_topk_prob=False)),
    "gptoss": ("GptOssForCausalLM", dict(head_dim=16, num_local_experts=4, num_experts_per_tok=2, sliding_window=5,
               intermediate_size=32, rope_scaling=dict(YARN, beta_fast=32.0, beta_slow=1.0, truncate=False), tie_word_embeddings=False)),
    "gptoss-mxfp4": ("GptOssForCausalLM", dict(head_dim=16, num_local_experts=4, num_experts_per_tok=2, sliding_window=5,
               intermediate_size=32, rope_scaling=dict(YARN, beta_fast=32.0, beta_slow=1.0, truncate=False), tie_word_embeddings=False)),
    "exaone": ("LlamaForCausalLM", dict(tie_word_embeddings=False, rope_scaling=LLAMA3)),
    "internlm2": ("LlamaForCausalLM", dict(tie_word_embeddings=False)),
    "bert": ("BertModel", dict()),
    "roberta": ("XLMRobertaModel", dict(type_vocab_size=1, max_position_embeddings=66, pad_token_id=1)),
    "distilbert": ("DistilBertModel", None),
}
SPECIAL = {
    "gpt2": dict(vocab_size=48, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2),
    "distilbert": dict(vocab_size=48, dim=32, n_layers=2, n_heads=4, hidden_dim=48, max_position_embeddings=64),
}
IDS = [(i * i * 5 + 3 * i + 3) % 48 for i in range(20)]
AT = [0, 3, 11, 19]

def rule(name, shape, gemma):
    if len(shape) > 1:
        return 0.25 * (4 if "embed" in name or "wte" in name else 1), 0.0
    if "norm" in name.lower() or ".ln_" in name or "ln_f" in name:
        return 0.25, (0.0 if gemma or name.endswith("bias") else 1.0)
    return 0.25, 0.0

def rename(case, name, array, heads, kv):
    """Checkpoints of classes that live outside the library, from the one that computes the same."""
    if case == "exaone":
        for a, b in [("model.embed_tokens", "transformer.wte"), ("model.norm", "transformer.ln_f"), ("model.layers", "transformer.h"),
                     ("input_layernorm", "ln_1"), ("post_attention_layernorm", "ln_2"), ("self_attn.o_proj", "attn.attention.out_proj"),
                     ("self_attn", "attn.attention"), ("mlp.gate_proj", "mlp.c_fc_0"), ("mlp.up_proj", "mlp.c_fc_1"), ("mlp.down_proj", "mlp.c_proj")]:
            name = name.replace(a, b)
    return name

def internlm2(tensors):
    out = {}
    for name, x in tensors.items():
        for a, b in [("model.embed_tokens", "model.tok_embeddings"), ("input_layernorm", "attention_norm"), ("post_attention_layernorm", "ffn_norm"),
                     ("self_attn.o_proj", "attention.wo"), ("mlp.gate_proj", "feed_forward.w1"), ("mlp.up_proj", "feed_forward.w3"),
                     ("mlp.down_proj", "feed_forward.w2"), ("lm_head", "output")]:
            name = name.replace(a, b)
        out[name] = x
    for layer in range(2):
        at = f"model.layers.{layer}."
        q, k, v = (out.pop(f"{at}self_attn.{p}_proj.weight").reshape(2, -1, 8, 32) for p in "qkv")
        out[at + "attention.wqkv.weight"] = np.concatenate([q, k, v], 1).reshape(-1, 32)
    return out

def main():
    out = pathlib.Path(sys.argv[1]); out.mkdir(parents=True, exist_ok=True)
    for case in sys.argv[2:] or CASES:
        try:
            make(case, out)
        except Exception as error:
            print(f"{case}: FAILED {type(error).__name__} {str(error)[:300]}")

def make(case, out):
        cls, more = CASES[case]
        cls = getattr(tf, cls)
        settings = SPECIAL[case] if more is None else {**BASE, **more}
        if case.split("-")[0] in ("gptneox", "falcon", "bert", "roberta"):
            del settings["num_key_value_heads"]
        config = cls.config_class(**settings)
        config._attn_implementation = "eager"
        torch.manual_seed(0)
        if case == "stablelm-12b":
            for c in (cls, tf.models.stablelm.modeling_stablelm.StableLmModel, tf.models.stablelm.modeling_stablelm.StableLmPreTrainedModel):
                c._init_weights = lambda self, module: None  # It wants a bias that these norms do not have.
        model = cls(config).float()
        with tempfile.TemporaryDirectory() as d:
            model.save_pretrained(d)
            with safe_open(d + "/model.safetensors", "np") as f:
                shapes = {k: tuple(f.get_slice(k).get_shape()) for k in f.keys()}
        rules = {k: rule(k, s, "gemma" in case) for k, s in shapes.items()}
        config_json = json.loads(model.config.to_json_string(use_diff=True))
        config_json["architectures"] = [CASES[case][0]]
        made, listed = {}, []
        if case == "internlm2":      # Made as the checkpoint has them, taken apart for the library.
            shapes = {k: v.shape for k, v in internlm2({k: np.zeros(s, np.float32) for k, s in shapes.items()}).items()}
            for name, shape in shapes.items():
                scale, offset = rule(name, shape, False)
                if "embeddings" in name: scale = 1.0
                made[name] = weights(name, shape, scale, offset); listed.append([name, list(shape), scale, offset])
            state, back = {}, {"tok_embeddings": "embed_tokens", "attention_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
                     "attention.wo": "self_attn.o_proj", "feed_forward.w1": "mlp.gate_proj", "feed_forward.w3": "mlp.up_proj",
                     "feed_forward.w2": "mlp.down_proj", "output.weight": "lm_head.weight"}
            for name, x in made.items():
                if "wqkv" in name:
                    g = x.reshape(2, 4, 8, 32)
                    for p, part in zip("qkv", (g[:, :2], g[:, 2:3], g[:, 3:4])):
                        state[name.replace("attention.wqkv", f"self_attn.{p}_proj")] = part.reshape(-1, 32).copy()
                    continue
                for a, b in back.items(): name = name.replace(a, b)
                state[name] = x
            config_json = dict(architectures=["InternLM2ForCausalLM"], bias=False, hidden_act="silu", hidden_size=32, intermediate_size=48,
                max_position_embeddings=64, model_type="internlm2", num_attention_heads=4, num_hidden_layers=2, num_key_value_heads=2,
                rms_norm_eps=config.rms_norm_eps, rope_theta=10000.0, tie_word_embeddings=False, vocab_size=48)
        else:
            state = {}
            for name, shape in shapes.items():
                theirs = rename(case, name, None, 4, 2)
                scale, offset = rules[name]
                if case == "gptoss-mxfp4" and "experts" in name and "bias" not in name:
                    # [experts, rows, groups of 32, 16 bytes] and a scale per group; the dense matrix by the library's own routine.
                    from transformers.integrations.mxfp4 import convert_moe_packed_tensors
                    e, cols, rows = shape
                    packed = (e, rows, cols // 32, 16)
                    blocks = top_bytes(name + "_blocks", int(np.prod(packed))).astype(np.uint8).reshape(packed)
                    scales = (122 + top_bytes(name + "_scales", int(np.prod(packed[:3]))) % 3).astype(np.uint8).reshape(packed[:3])
                    dense = convert_moe_packed_tensors(torch.tensor(blocks), torch.tensor(scales), dtype=torch.float32)
                    state[name] = dense.numpy().copy()
                    listed.append([name + "_blocks", list(packed), "u8"]); listed.append([name + "_scales", list(packed[:3]), "u8 122 3"])
                    continue
                state[name] = weights(theirs, shape, scale, offset)
                listed.append([theirs, list(shape), scale, offset])
            if case == "exaone":
                config_json = dict(architectures=["ExaoneForCausalLM"], activation_function="silu", hidden_size=32, intermediate_size=48,
                    layer_norm_epsilon=config.rms_norm_eps, max_position_embeddings=64, model_type="exaone", num_attention_heads=4, num_layers=2,
                    num_key_value_heads=2, rope_scaling=LLAMA3, rope_theta=10000.0, tie_word_embeddings=False, vocab_size=48)
        with tempfile.TemporaryDirectory() as d:
            save_file({k: np.ascontiguousarray(v) for k, v in state.items()}, d + "/model.safetensors", {"format": "pt"})
            model.config.save_pretrained(d)
            model, info = cls.from_pretrained(d, torch_dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
        assert not info["missing_keys"] and not info["unexpected_keys"], (case, info)
        model.eval()
        with torch.no_grad():
            result = model(torch.tensor([IDS]))
        rows = (result.logits if hasattr(result, "logits") else result.last_hidden_state)[0]
        assert torch.isfinite(rows).all(), case
        rows = rows[AT].double().numpy()
        for key in ["transformers_version", "dtype", "torch_dtype", "_name_or_path"]:
            config_json.pop(key, None)
        text = json.dumps(dict(case=case, library="transformers " + tf.__version__, config=config_json, tensors=listed, ids=IDS, positions=AT,
                               rows=[[float(f"{x:.7g}") for x in row] for row in rows]), separators=(",", ":"))
        text = text.replace('"tensors":[[', '"tensors":[\n[').replace('],["', '],\n["').replace(',"rows"', ',\n"rows"').replace(',"ids"', ',\n"ids"').replace(',"tensors"', ',\n"tensors"')
        (out / f"{case}.json").write_text(text + "\n")
        print(f"{case}: std {rows.std():.3f} max {abs(rows).max():.2f} tensors {len(listed)} bytes {len(text)}", flush=True)

main()
