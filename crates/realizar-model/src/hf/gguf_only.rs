//! Classes whose folders are not read, though a GGUF file made of one runs.

/// The architecture in the GGUF file, and values of `architectures` in `config.json`.
const CLASSES: &[(&str, &[&str])] = &[
    ("afmoe", &["AfmoeForCausalLM"]),
    ("apertus", &["ApertusForCausalLM"]),
    ("arcee", &["ArceeForCausalLM"]),
    ("bailingmoe2", &["BailingMoeV2ForCausalLM"]),
    ("bitnet", &["BitNetForCausalLM", "BitnetForCausalLM"]),
    ("bloom", &["BloomForCausalLM", "BloomModel"]),
    ("chatglm", &["ChatGLMForConditionalGeneration", "ChatGLMModel", "GlmForCausalLM"]),
    ("codeshell", &["CodeShellForCausalLM"]),
    ("cohere2moe", &["Cohere2MoeForCausalLM"]),
    ("dbrx", &["DbrxForCausalLM"]),
    ("deepseek2", &["Glm4MoeLiteForCausalLM", "KimiVLForConditionalGeneration"]),
    ("deepseek32", &["DeepseekV32ForCausalLM"]),
    ("dots1", &["Dots1ForCausalLM"]),
    ("ernie4_5", &["Ernie4_5ForCausalLM", "Ernie4_5_ForCausalLM"]),
    ("ernie4_5-moe", &["Ernie4_5_MoeForCausalLM"]),
    ("eurobert", &["EuroBertModel"]),
    ("exaone-moe", &["ExaoneMoEForCausalLM", "ExaoneMoeForCausalLM"]),
    ("exaone4", &["Exaone4ForCausalLM"]),
    ("falcon-h1", &["FalconH1ForCausalLM"]),
    ("gemma-embedding", &["Gemma3TextModel"]),
    ("gemma3n", &["Gemma3nForCausalLM", "Gemma3nForConditionalGeneration"]),
    ("gemma4", &["Gemma4ForCausalLM", "Gemma4ForConditionalGeneration"]),
    ("glm4", &["Glm4vForConditionalGeneration"]),
    ("glm4moe", &["Glm4MoeForCausalLM", "Glm4vMoeForConditionalGeneration"]),
    ("granitehybrid", &["BambaForCausalLM", "GraniteMoeHybridForCausalLM"]),
    ("granitemoe", &["GraniteMoeForCausalLM", "GraniteMoeSharedForCausalLM"]),
    ("grok", &["Grok1ForCausalLM", "GrokForCausalLM"]),
    ("hunyuan-dense", &["HunYuanDenseV1ForCausalLM"]),
    ("hunyuan-moe", &["HunYuanMoEV1ForCausalLM"]),
    ("jamba", &["JambaForCausalLM"]),
    ("kimi-linear", &["KimiLinearForCausalLM"]),
    ("lfm2", &["Lfm2ForCausalLM", "Lfm2VlForConditionalGeneration"]),
    ("lfm2moe", &["Lfm2MoeForCausalLM"]),
    ("llama-embed", &["LlamaBidirectionalModel"]),
    ("llama4", &["Llama4ForCausalLM", "Llama4ForConditionalGeneration"]),
    ("mamba", &["FalconMambaForCausalLM", "MambaForCausalLM"]),
    ("mamba2", &["Mamba2ForCausalLM"]),
    ("mimo2", &["MiMoV2FlashForCausalLM"]),
    ("minicpm", &["MiniCPMForCausalLM"]),
    ("minicpm3", &["MiniCPM3ForCausalLM"]),
    ("minimax-m2", &["MiniMaxM2ForCausalLM"]),
    ("modern-bert", &["ModernBertForMaskedLM", "ModernBertForSequenceClassification", "ModernBertModel"]),
    ("mpt", &["MPTForCausalLM", "MptForCausalLM"]),
    ("nemotron", &["NemotronForCausalLM"]),
    ("nemotron_h", &["NemotronHForCausalLM"]),
    ("neo-bert", &["NeoBERT", "NeoBERTLMHead"]),
    ("olmoe", &["OlmoeForCausalLM"]),
    ("orion", &["OrionForCausalLM"]),
    ("qwen2vl", &["Qwen2VLForConditionalGeneration", "Qwen2_5_VLForConditionalGeneration"]),
    ("qwen35", &["Qwen3_5ForCausalLM", "Qwen3_5ForConditionalGeneration"]),
    ("qwen35moe", &["Qwen3_5MoeForCausalLM", "Qwen3_5MoeForConditionalGeneration"]),
    ("qwen3next", &["Qwen3NextForCausalLM"]),
    ("qwen3vl", &["Qwen3VLForConditionalGeneration"]),
    ("qwen3vlmoe", &["Qwen3VLMoeForConditionalGeneration"]),
    ("rwkv7", &["RWKV7ForCausalLM", "Rwkv7ForCausalLM"]),
    ("seed_oss", &["SeedOssForCausalLM"]),
    ("smallthinker", &["SmallThinkerForCausalLM"]),
    ("starcoder", &["GPTBigCodeForCausalLM"]),
    ("step35", &["Step3p5ForCausalLM"]),
    ("xverse", &["XverseForCausalLM"]),
];

/// The architecture that a GGUF file made of such a folder has.
pub(crate) fn architecture_of(class: &str) -> Option<&'static str> {
    CLASSES.iter().find(|(_, classes)| classes.contains(&class)).map(|(architecture, _)| *architecture)
}

#[cfg(test)]
mod tests {
    use super::{super::FAMILIES, CLASSES};
    use crate::arch::ArchFacts;

    #[test]
    fn what_is_said_to_run_does() {
        for (architecture, classes) in CLASSES {
            assert!(ArchFacts::find(architecture).is_some(), "{architecture}");
            for class in *classes {
                let read = FAMILIES.iter().any(|family| family.classes.contains(class));
                assert!(!read, "folders of {class} are read");
            }
        }
    }
}
