//! Files that name an architecture of the field which is not the one whose numbers and weights they hold.

use realizar_model::{ARCHITECTURES, ArchFacts, Model, ModelError};

use crate::file::{Fact, ModelFile};
use crate::golden;

/// Every architecture that a GGUF file of the field can name.
const NAMES_OF_THE_FIELD: &str = "
    afmoe apertus arcee arctic arwkv7 baichuan bailingmoe bailingmoe2 bert bitnet bloom chameleon chatglm
    codeshell cogvlm cohere2 cohere2moe command-r dbrx deci deepseek deepseek2 deepseek2-ocr deepseek32
    deepseek4 dots1 dream ernie4_5 ernie4_5-moe eurobert exaone exaone-moe exaone4 falcon falcon-h1 gemma
    gemma-embedding gemma2 gemma3 gemma3n gemma4 glm-dsa glm4 glm4moe gpt-oss gpt2 gptj gptneox granite
    granitehybrid granitemoe grok grovemoe hunyuan-dense hunyuan-moe hunyuan_vl hy_v3 internlm2 jais jais2
    jamba jina-bert-v2 jina-bert-v3 kimi-linear lfm2 lfm2moe llada llada-moe llama llama-embed llama4
    maincoder mamba mamba2 mimo2 minicpm minicpm3 minimax-m2 mistral3 mistral4 modern-bert mpt nemotron
    nemotron_h nemotron_h_moe neo-bert nomic-bert nomic-bert-moe olmo olmo2 olmoe openelm orion paddleocr
    pangu-embedded phi2 phi3 phimoe plamo plamo2 plamo3 plm qwen qwen2 qwen2moe qwen2vl qwen3 qwen35
    qwen35moe qwen3moe qwen3next qwen3vl qwen3vlmoe refact rnd1 rwkv6 rwkv6qwen2 rwkv7 seed_oss smallthinker
    smollm3 stablelm starcoder starcoder2 step35 t5 t5encoder wavtokenizer-dec xverse
";

/// A file that names an architecture is run as that one or refused; nothing is taken for another. The weights and numbers
/// are a llama's, with the keys of the name that stands there.
#[test]
fn nothing_is_taken_for_another_architecture() {
    let llama = ModelFile::open(&golden::own().join("llama-gqa.gguf"));
    for name in NAMES_OF_THE_FIELD.split_whitespace() {
        let mut file = ModelFile::default();
        for (key, fact) in &llama.facts {
            file.set(&key.replace("llama.", &format!("{name}.")), fact.clone());
        }
        file.tensors.clone_from(&llama.tensors);
        file.set("general.architecture", Fact::Text(name.into()));
        match (ArchFacts::find(name), Model::load(&*file.source())) {
            (Some(_), Ok(model)) => assert_eq!(model.config().arch.name, name),
            (Some(_), Err(ModelError::UnknownArchitecture { .. })) => panic!("{name} is known"),
            (Some(_), Err(_)) => {}
            (None, Err(ModelError::UnknownArchitecture { found, .. })) => {
                assert_eq!(found, format!("{name:?}"));
            }
            (None, Err(ModelError::NotYet { architecture, .. })) => assert_eq!(architecture, name),
            (None, other) => panic!("{name}: {:?}", other.map(|model| model.config().arch.name)),
        }
    }
    for facts in ARCHITECTURES {
        let listed = NAMES_OF_THE_FIELD.split_whitespace().any(|name| name == facts.name);
        assert!(listed, "{} is no name of the field", facts.name);
    }
}
