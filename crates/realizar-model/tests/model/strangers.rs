//! Files that name an architecture of the field which is not the one whose numbers and weights they hold.

use realizar_model::{ARCHITECTURES, ArchFacts, Model, ModelError};

use crate::file::{Fact, ModelFile};
use crate::golden;

/// Every architecture that a GGUF file of the field can name.
const NAMES_OF_THE_FIELD: &str = "
    afmoe apertus arcee arctic arwkv7 baichuan bailingmoe bailingmoe2 bailingmoe3 bert bitnet bloom chameleon
    chatglm codeshell cogvlm cohere2 cohere2moe command-r dbrx deci deepseek deepseek2 deepseek2-ocr deepseek32
    deepseek4 dflash dots1 dots3note dream eagle3 ernie4_5 ernie4_5-moe eurobert exaone exaone-moe exaone4
    falcon falcon-h1 gemma gemma-embedding gemma2 gemma3 gemma3n gemma4 gemma4-assistant glm-dsa glm4 glm4moe
    glm5-next gpt-oss gpt2 gptj gptneox granite granite_swa granitehybrid granitemoe graniteswitch grok grovemoe
    hrm_text hunyuan-dense hunyuan-moe hunyuan_vl hy_v3 hy_v4 internlm2 jais jais2 jamba jina-bert-v2
    jina-bert-v3 kimi-k3 kimi-linear laguna lfm2 lfm2moe llada llada-moe llama llama-embed llama4 maincoder
    mamba mamba2 maple mellum mimo2 minicpm minicpm3 minimax-01 minimax-m2 minimax-m3 mistral3 mistral4
    modern-bert mpt muse-glimmer nanbeige nemotron nemotron_h nemotron_h_moe neo-bert nomic-bert nomic-bert-moe
    olmo olmo2 olmoe openelm orion paddleocr pangu-embedded phi2 phi3 phimoe plamo plamo2 plamo3 plm pockettts
    qwen qwen2 qwen2moe qwen2vl qwen3 qwen35 qwen35moe qwen3moe qwen3next qwen3tts qwen3vl qwen3vlmoe qwen4exp
    refact rnd1 rwkv6 rwkv6qwen2 rwkv7 seed_oss smallthinker smollm3 spark2_5 stablelm starcoder starcoder2
    step35 t5 t5encoder talkie wavtokenizer-dec xverse
";

/// A file that names an architecture is run as that one, or it is said what it would need; nothing is taken for another.
/// The weights and numbers are a llama's, with the keys of the name that stands there.
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
            (None, Err(ModelError::NotYet { architecture, what })) => {
                assert_eq!(architecture, name);
                assert!(!what.is_empty(), "{name}");
            }
            (None, other) => panic!("{name}: {:?}", other.map(|model| model.config().arch.name)),
        }
    }
    for facts in ARCHITECTURES {
        let listed = NAMES_OF_THE_FIELD.split_whitespace().any(|name| name == facts.name);
        assert!(listed, "{} is no name of the field", facts.name);
    }
}
