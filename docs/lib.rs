//! The book as a crate: its pages are included here, so `cargo test --doc` compiles and runs every example in them.
#![forbid(unsafe_code)]

use std::error::Error;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use realizar_engine::{Engine, EngineOptions, Loaded, SessionOptions, Times};
use realizar_http::{App, Backend, Served, Settings};
use realizar_tensor::{Kernels, KvType, Pool};

/// The demo model that the command line tool embeds: a llama of four layers that tells small stories.
pub const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/realizar-cli/assets/demo-q8_0.gguf");

/// A server of the demo model without a network. The chapters on the server ask it.
///
/// ```
/// let demo = realizar_book::Demo::start()?;
/// let (status, answer) = demo.ask("/livez", "")?;
/// assert_eq!((status, answer.as_str()), (200, r#"{"status":"ok"}"#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Demo {
    app: App,
    runtime: tokio::runtime::Runtime,
}

impl Demo {
    /// Loads the model and starts its engine, with one thread that computes.
    ///
    /// # Errors
    /// The model is not where it belongs, or there is no memory for it.
    pub fn start() -> Result<Self, Box<dyn Error>> {
        let source = realizar_format::open(DEMO)?;
        let loaded = Loaded::new(&*source, realizar_tokenize::Compat::Original)?;
        let session = SessionOptions {
            pool: Pool::new(1)?,
            kernels: Kernels::detect(),
            context: 256,
            kv: KvType::F16,
            chunk: 64,
            max_sequences: 4,
            kv_blocks: None,
            checkpoints: 1,
        };
        let options = EngineOptions {
            session,
            max_queue: 16,
            step_tokens: 64,
            max_events: 64,
            times: Times::default(),
        };
        let engine = Engine::start(loaded, options)?;
        Self::of(Served::new(engine, "storyteller"))
    }

    /// The same with any other model.
    ///
    /// # Errors
    /// The system gives no timer.
    pub fn of(model: impl Backend) -> Result<Self, Box<dyn Error>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { app: App::new(model, Settings::default()), runtime })
    }

    /// Status and body of the answer. Without a body, `path` is fetched.
    ///
    /// # Errors
    /// A path that is none.
    pub fn ask(&self, path: &str, body: &str) -> Result<(u16, String), Box<dyn Error>> {
        let method = if body.is_empty() { "GET" } else { "POST" };
        let request = http::Request::builder().method(method).uri(path).header("host", "localhost");
        let request = request.header("content-type", "application/json");
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes())))?;
        self.runtime.block_on(async {
            let answer = self.app.handle(request).await;
            let status = answer.status().as_u16();
            let bytes = answer.into_body().collect().await?.to_bytes();
            Ok((status, String::from_utf8(bytes.into())?))
        })
    }
}

/// A whole GGUF file in 280 bytes: the version, one metadata entry of each kind that the chapters talk about, and one
/// F32 tensor of two rows and three columns. The chapters on the format read it.
///
/// ```
/// let file = realizar_book::tiny_gguf();
/// assert_eq!(&file[..4], b"GGUF");
/// ```
#[must_use]
pub fn tiny_gguf() -> Vec<u8> {
    let mut file = Vec::new();
    file.extend(b"GGUF");
    file.extend(3_u32.to_le_bytes()); // version
    file.extend(1_u64.to_le_bytes()); // tensors
    file.extend(3_u64.to_le_bytes()); // metadata entries
    text(&mut file, "general.architecture");
    file.extend(8_u32.to_le_bytes()); // a string
    text(&mut file, "llama");
    text(&mut file, "llama.block_count");
    file.extend(4_u32.to_le_bytes()); // a u32
    file.extend(2_u32.to_le_bytes());
    text(&mut file, "tokenizer.ggml.tokens");
    file.extend(9_u32.to_le_bytes()); // an array ...
    file.extend(8_u32.to_le_bytes()); // ... of strings
    file.extend(2_u64.to_le_bytes());
    text(&mut file, "<s>");
    text(&mut file, "hi");
    text(&mut file, "output_norm.weight");
    file.extend(2_u32.to_le_bytes()); // dimensions, innermost first
    file.extend(3_u64.to_le_bytes());
    file.extend(2_u64.to_le_bytes());
    file.extend(0_u32.to_le_bytes()); // F32
    file.extend(0_u64.to_le_bytes()); // offset in the data section
    file.resize(file.len().next_multiple_of(32), 0);
    for value in [1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0] {
        file.extend(value.to_le_bytes());
    }
    file
}

/// GGUF writes a text as its length in eight bytes and its bytes.
fn text(file: &mut Vec<u8>, text: &str) {
    file.extend((text.len() as u64).to_le_bytes());
    file.extend(text.as_bytes());
}

/// The pages, in the order of the book. Only doc tests see them.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("src/introduction.md")]
    struct Introduction;
    #[doc = include_str!("src/architecture/design-philosophy.md")]
    struct ArchitectureDesignPhilosophy;
    #[doc = include_str!("src/architecture/project-structure.md")]
    struct ArchitectureProjectStructure;
    #[doc = include_str!("src/architecture/zero-dependencies.md")]
    struct ArchitectureZeroDependencies;
    #[doc = include_str!("src/architecture/trueno-integration.md")]
    struct ArchitectureTruenoIntegration;
    #[doc = include_str!("src/architecture/feature-flags.md")]
    struct ArchitectureFeatureFlags;
    #[doc = include_str!("src/formats/overview.md")]
    struct FormatsOverview;
    #[doc = include_str!("src/formats/gguf.md")]
    struct FormatsGguf;
    #[doc = include_str!("src/formats/gguf-binary-structure.md")]
    struct FormatsGgufBinaryStructure;
    #[doc = include_str!("src/formats/gguf-metadata.md")]
    struct FormatsGgufMetadata;
    #[doc = include_str!("src/formats/gguf-tensors.md")]
    struct FormatsGgufTensors;
    #[doc = include_str!("src/formats/gguf-value-types.md")]
    struct FormatsGgufValueTypes;
    #[doc = include_str!("src/formats/gguf-arrays.md")]
    struct FormatsGgufArrays;
    #[doc = include_str!("src/formats/safetensors.md")]
    struct FormatsSafetensors;
    #[doc = include_str!("src/formats/safetensors-header.md")]
    struct FormatsSafetensorsHeader;
    #[doc = include_str!("src/formats/safetensors-access.md")]
    struct FormatsSafetensorsAccess;
    #[doc = include_str!("src/formats/folders.md")]
    struct FormatsFolders;
    #[doc = include_str!("src/formats/apr.md")]
    struct FormatsApr;
    #[doc = include_str!("src/formats/converting.md")]
    struct FormatsConverting;
    #[doc = include_str!("src/quantization/what-is-quantization.md")]
    struct QuantizationWhatIsQuantization;
    #[doc = include_str!("src/quantization/q4-0.md")]
    struct QuantizationQ40;
    #[doc = include_str!("src/quantization/q4-0-encoding.md")]
    struct QuantizationQ40Encoding;
    #[doc = include_str!("src/quantization/q4-0-blocks.md")]
    struct QuantizationQ40Blocks;
    #[doc = include_str!("src/quantization/q4-0-dequantize.md")]
    struct QuantizationQ40Dequantize;
    #[doc = include_str!("src/quantization/q8-0.md")]
    struct QuantizationQ80;
    #[doc = include_str!("src/quantization/q8-0-encoding.md")]
    struct QuantizationQ80Encoding;
    #[doc = include_str!("src/quantization/q8-0-tradeoffs.md")]
    struct QuantizationQ80Tradeoffs;
    #[doc = include_str!("src/quantization/advanced.md")]
    struct QuantizationAdvanced;
    #[doc = include_str!("src/quantization/k-quants.md")]
    struct QuantizationKQuants;
    #[doc = include_str!("src/transformer/overview.md")]
    struct TransformerOverview;
    #[doc = include_str!("src/transformer/tensor.md")]
    struct TransformerTensor;
    #[doc = include_str!("src/transformer/layers.md")]
    struct TransformerLayers;
    #[doc = include_str!("src/transformer/attention.md")]
    struct TransformerAttention;
    #[doc = include_str!("src/transformer/rope.md")]
    struct TransformerRope;
    #[doc = include_str!("src/transformer/ffn.md")]
    struct TransformerFfn;
    #[doc = include_str!("src/transformer/swiglu.md")]
    struct TransformerSwiglu;
    #[doc = include_str!("src/transformer/rmsnorm.md")]
    struct TransformerRmsnorm;
    #[doc = include_str!("src/transformer/layernorm.md")]
    struct TransformerLayernorm;
    #[doc = include_str!("src/transformer/softmax.md")]
    struct TransformerSoftmax;
    #[doc = include_str!("src/transformer/gelu.md")]
    struct TransformerGelu;
    #[doc = include_str!("src/transformer/kv-cache.md")]
    struct TransformerKvCache;
    #[doc = include_str!("src/transformer/config.md")]
    struct TransformerConfig;
    #[doc = include_str!("src/transformer/forward-pass.md")]
    struct TransformerForwardPass;
    #[doc = include_str!("src/transformer/models.md")]
    struct TransformerModels;
    #[doc = include_str!("src/transformer/families.md")]
    struct TransformerFamilies;
    #[doc = include_str!("src/transformer/recurrent-states.md")]
    struct TransformerRecurrentStates;
    #[doc = include_str!("src/tokenization/overview.md")]
    struct TokenizationOverview;
    #[doc = include_str!("src/tokenization/vocabulary.md")]
    struct TokenizationVocabulary;
    #[doc = include_str!("src/tokenization/bpe.md")]
    struct TokenizationBpe;
    #[doc = include_str!("src/tokenization/bpe-merges.md")]
    struct TokenizationBpeMerges;
    #[doc = include_str!("src/tokenization/bpe-encoding.md")]
    struct TokenizationBpeEncoding;
    #[doc = include_str!("src/tokenization/bpe-decoding.md")]
    struct TokenizationBpeDecoding;
    #[doc = include_str!("src/tokenization/sentencepiece.md")]
    struct TokenizationSentencepiece;
    #[doc = include_str!("src/tokenization/sentencepiece-special-tokens.md")]
    struct TokenizationSentencepieceSpecialTokens;
    #[doc = include_str!("src/tokenization/sentencepiece-scores.md")]
    struct TokenizationSentencepieceScores;
    #[doc = include_str!("src/generation/inference-loop.md")]
    struct GenerationInferenceLoop;
    #[doc = include_str!("src/generation/sampling.md")]
    struct GenerationSampling;
    #[doc = include_str!("src/generation/greedy.md")]
    struct GenerationGreedy;
    #[doc = include_str!("src/generation/top-k.md")]
    struct GenerationTopK;
    #[doc = include_str!("src/generation/top-p.md")]
    struct GenerationTopP;
    #[doc = include_str!("src/generation/temperature.md")]
    struct GenerationTemperature;
    #[doc = include_str!("src/generation/parameters.md")]
    struct GenerationParameters;
    #[doc = include_str!("src/generation/streaming.md")]
    struct GenerationStreaming;
    #[doc = include_str!("src/generation/batching.md")]
    struct GenerationBatching;
    #[doc = include_str!("src/api/architecture.md")]
    struct ApiArchitecture;
    #[doc = include_str!("src/api/framework-selection.md")]
    struct ApiFrameworkSelection;
    #[doc = include_str!("src/api/swappable-server.md")]
    struct ApiSwappableServer;
    #[doc = include_str!("src/api/endpoints.md")]
    struct ApiEndpoints;
    #[doc = include_str!("src/api/types.md")]
    struct ApiTypes;
    #[doc = include_str!("src/api/error-handling.md")]
    struct ApiErrorHandling;
    #[doc = include_str!("src/api/demo-mode.md")]
    struct ApiDemoMode;
    #[doc = include_str!("src/api/testing.md")]
    struct ApiTesting;
    #[doc = include_str!("src/cli/command-structure.md")]
    struct CliCommandStructure;
    #[doc = include_str!("src/cli/run.md")]
    struct CliRun;
    #[doc = include_str!("src/cli/serve.md")]
    struct CliServe;
    #[doc = include_str!("src/cli/info.md")]
    struct CliInfo;
    #[doc = include_str!("src/cli/convert.md")]
    struct CliConvert;
    #[doc = include_str!("src/cli/bench.md")]
    struct CliBench;
    #[doc = include_str!("src/cli/testing.md")]
    struct CliTesting;
    #[doc = include_str!("src/tdd/unit-testing.md")]
    struct TddUnitTesting;
    #[doc = include_str!("src/tdd/property-based.md")]
    struct TddPropertyBased;
    #[doc = include_str!("src/tdd/integration-testing.md")]
    struct TddIntegrationTesting;
    #[doc = include_str!("src/phases/phase3-mqa.md")]
    struct PhasesMqa;
    #[doc = include_str!("src/phases/phase3-gqa.md")]
    struct PhasesGqa;
    #[doc = include_str!("src/quality/formatting.md")]
    struct QualityFormatting;
    #[doc = include_str!("src/quality/linting.md")]
    struct QualityLinting;
    #[doc = include_str!("src/quality/coverage.md")]
    struct QualityCoverage;
    #[doc = include_str!("src/quality/mutation.md")]
    struct QualityMutation;
    #[doc = include_str!("src/quality/ci.md")]
    struct QualityCi;
    #[doc = include_str!("src/performance/benchmarking.md")]
    struct PerformanceBenchmarking;
    #[doc = include_str!("src/gpu/simd.md")]
    struct GpuSimd;
    #[doc = include_str!("src/performance/memory.md")]
    struct PerformanceMemory;
    #[doc = include_str!("src/tools/development-environment.md")]
    struct ToolsDevelopmentEnvironment;
    #[doc = include_str!("src/tools/cargo-test.md")]
    struct ToolsCargoTest;
    #[doc = include_str!("src/best-practices/error-handling.md")]
    struct BestPracticesErrorHandling;
    #[doc = include_str!("src/best-practices/api-design.md")]
    struct BestPracticesApiDesign;
    #[doc = include_str!("src/best-practices/type-safety.md")]
    struct BestPracticesTypeSafety;
    #[doc = include_str!("src/best-practices/memory-safety.md")]
    struct BestPracticesMemorySafety;
    #[doc = include_str!("src/best-practices/documentation-standards.md")]
    struct BestPracticesDocumentationStandards;
    #[doc = include_str!("src/best-practices/minimal-dependencies.md")]
    struct BestPracticesMinimalDependencies;
    #[doc = include_str!("src/decisions/why-pure-rust.md")]
    struct DecisionsWhyPureRust;
    #[doc = include_str!("src/decisions/why-from-scratch.md")]
    struct DecisionsWhyFromScratch;
    #[doc = include_str!("src/decisions/why-trueno.md")]
    struct DecisionsWhyTrueno;
    #[doc = include_str!("src/decisions/why-no-existing-libs.md")]
    struct DecisionsWhyNoExistingLibs;
    #[doc = include_str!("src/appendix/glossary.md")]
    struct AppendixGlossary;
    #[doc = include_str!("src/appendix/gguf-spec.md")]
    struct AppendixGgufSpec;
    #[doc = include_str!("src/appendix/safetensors-spec.md")]
    struct AppendixSafetensorsSpec;
    #[doc = include_str!("src/appendix/apr-spec.md")]
    struct AppendixAprSpec;
    #[doc = include_str!("src/appendix/transformer-papers.md")]
    struct AppendixTransformerPapers;
    #[doc = include_str!("src/appendix/contributing.md")]
    struct AppendixContributing;
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_example_file_is_a_valid_one() {
        let file = super::tiny_gguf();
        assert_eq!(file.len(), 280);
        let model = realizar_format::parse(file.into()).unwrap();
        assert_eq!(model.tensors().count(), 1);
    }
}
