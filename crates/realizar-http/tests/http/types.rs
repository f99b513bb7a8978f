//! Every field that a route knows, with every type of value that it is not: refused by name, wherever it stands.

use crate::bad_bodies::{CHAT, COMPLETIONS};
use crate::client::{KINDS, quick, settings, start};
use crate::scripted::Scripted;

/// A field and the types that it may have: `b`oolean, `n`umber, `s`tring, `l`ist, `o`bject; a capital where every value of
/// the type will do.
type Field = (&'static str, &'static str);

/// What all routes that write answers know.
#[rustfmt::skip]
const ANSWERS: &[Field] = &[
    ("model", "s"), ("stream", "b"), ("stream_options", "o"), ("stop", "Sl"), ("seed", "n"), ("n", "n"),
    ("max_tokens", "n"), ("max_completion_tokens", "n"), ("n_predict", "n"), ("temperature", "n"), ("top_p", "n"),
    ("top_k", "n"), ("min_p", "n"), ("typical_p", "n"), ("repeat_penalty", "n"), ("repetition_penalty", "n"),
    ("repeat_last_n", "n"), ("frequency_penalty", "n"), ("presence_penalty", "n"), ("top_n_sigma", "n"),
    ("xtc_probability", "n"), ("xtc_threshold", "n"), ("dynatemp_range", "n"), ("dynatemp_exponent", "n"),
    ("samplers", "sl"), ("logit_bias", "o"), ("ignore_eos", "b"),
    // Accounts, caches and hints.
    ("store", "b"), ("user", "s"), ("metadata", "o"), ("safety_identifier", "s"), ("prompt_cache_key", "s"),
    ("prompt_cache_retention", "s"), ("service_tier", "s"), ("verbosity", "s"), ("prediction", "O"),
    ("cache_prompt", "b"), ("n_cache_reuse", "n"), ("id_slot", "n"), ("return_tokens", "b"), ("return_progress", "b"),
    ("timings_per_token", "b"), ("backend_sampling", "b"), ("parse_tool_calls", "b"), ("thinking_forced_open", "b"),
    ("reasoning_format", "s"), ("chat_format", "n"), ("speculative.n_min", "n"), ("speculative.n_max", "n"),
    ("speculative.p_min", "n"), ("n_keep", "n"), ("n_discard", "n"),
    // What is not built.
    ("tools", "l"), ("tool_choice", "so"), ("parallel_tool_calls", "b"), ("functions", "l"), ("function_call", "so"),
    ("response_format", "o"), ("modalities", "l"), ("audio", ""), ("web_search_options", ""), ("chat_template", ""),
    ("grammar", "s"), ("grammar_lazy", "b"), ("grammar_triggers", "L"), ("preserved_tokens", "L"), ("json_schema", ""),
    ("structured_outputs", ""), ("guided_json", ""), ("guided_regex", "s"), ("guided_choice", "l"),
    ("guided_grammar", "s"), ("lora", "l"), ("response_fields", "l"), ("mirostat", "n"), ("mirostat_tau", "n"),
    ("mirostat_eta", "n"), ("dry_multiplier", "n"), ("dry_base", "n"), ("dry_allowed_length", "n"),
    ("dry_penalty_last_n", "n"), ("dry_sequence_breakers", "l"), ("adaptive_target", "n"), ("adaptive_decay", "n"),
    ("min_keep", "n"), ("n_indent", "n"), ("n_probs", "n"), ("n_cmpl", "n"), ("post_sampling_probs", "b"),
    ("t_max_predict_ms", "n"), ("reasoning_budget", "n"), ("thinking_budget_tokens", "n"),
    ("reasoning_budget_tokens", "n"), ("min_tokens", "n"), ("stop_token_ids", "l"), ("bad_words", "l"),
    ("allowed_token_ids", "l"), ("skip_special_tokens", "b"), ("include_stop_str_in_output", "b"),
    ("prompt_logprobs", ""), ("truncate_prompt_tokens", ""), ("use_beam_search", "b"),
];

#[rustfmt::skip]
const CHATS: &[Field] = &[
    ("messages", "l"), ("logprobs", "b"), ("top_logprobs", "n"), ("chat_template_kwargs", "O"),
    ("reasoning_effort", "s"), ("add_generation_prompt", "b"), ("continue_final_message", "b"),
];
const TEXTS: &[Field] =
    &[("prompt", "Sl"), ("echo", "b"), ("logprobs", "n"), ("best_of", "n"), ("suffix", "s")];
#[rustfmt::skip]
const VECTORS: &[Field] = &[
    ("model", "s"), ("input", "Sl"), ("user", "s"), ("encoding_format", "s"), ("dimensions", "n"), ("embd_normalize", "n"),
];
#[rustfmt::skip]
const GENERATE: &[Field] = &[
    ("model", "s"), ("prompt", "S"), ("strategy", "s"), ("temperature", "n"), ("top_k", "n"), ("top_p", "n"),
    ("max_tokens", "n"), ("seed", "n"), ("stop", "Sl"),
];
const BATCH: &[Field] =
    &[("model", "s"), ("prompts", "l"), ("strategy", "s"), ("top_k", "n"), ("stop", "Sl")];
#[rustfmt::skip]
const TOKENIZE: &[Field] = &[
    ("model", "s"), ("text", "S"), ("content", "S"), ("add_special", "b"), ("parse_special", "b"), ("with_pieces", "b"),
];
const TOKENIZE_ALL: &[Field] =
    &[("model", "s"), ("texts", "l"), ("add_special", "b"), ("parse_special", "b")];
const DETOKENIZE: &[Field] = &[("model", "s"), ("token_ids", "l"), ("tokens", "L")];

const HELLO: &str = r#""messages":[{"role":"user","content":"hi"}]"#;
const PROMPT: &str = r#""prompt":"a""#;

/// Route, a body that is good, its fields.
const ROUTES: &[(&str, &str, &[&[Field]])] = &[
    (CHAT, HELLO, &[ANSWERS, CHATS]),
    (COMPLETIONS, PROMPT, &[ANSWERS, TEXTS]),
    ("/apply-template", HELLO, &[&[("model", "s")], CHATS.split_at(3).1]),
    ("/v1/embeddings", r#""input":"a""#, &[VECTORS]),
    ("/generate", PROMPT, &[GENERATE]),
    ("/stream/generate", PROMPT, &[GENERATE]),
    ("/batch/generate", r#""prompts":["a"]"#, &[BATCH]),
    ("/tokenize", r#""text":"a""#, &[TOKENIZE]),
    ("/batch/tokenize", r#""texts":["a"]"#, &[TOKENIZE_ALL]),
    ("/detokenize", r#""token_ids":[1]"#, &[DETOKENIZE]),
];

/// A value of each type; what is in the list and in the object is nothing that any field takes.
const VALUES: &[(char, &str)] = &[
    ('b', "true"),
    ('n', "1"),
    ('s', "\"\\u0000\""),
    ('l', "[[null]]"),
    ('o', "{\"a\\u0000\":[null]}"),
    ('n', "-1e30"),
    ('n', "1e300"),
];

/// A body with a field in it, which may be there already.
fn with(base: &str, field: &str, value: &str) -> String {
    let name = format!("\"{field}\":");
    if base.starts_with(&name) { format!("{{{name}{value}}}") } else { format!("{{{base},{name}{value}}}") }
}

#[test]
fn row_137_every_field_is_refused_with_every_type_that_it_has_not() {
    for kind in KINDS {
        let texts = start(*kind, Scripted::new(), settings(quick()));
        let vectors = start(*kind, Scripted::encoder(), settings(quick()));
        let mut refused = 0;
        for (path, base, lists) in ROUTES {
            let server = if path.contains("embeddings") { &vectors } else { &texts };
            assert_eq!(server.post(path, &format!("{{{base}}}")).status, 200, "{path} over {kind:?}");
            for (field, types) in lists.iter().copied().flatten() {
                for (type_of, value) in VALUES {
                    // A number of the right kind may be a good one, unless it is as large as no field's.
                    let good = types.contains(*type_of) && matches!(*value, "1" | "true");
                    if good || types.contains(type_of.to_ascii_uppercase()) {
                        continue;
                    }
                    let reply = server.post(path, &with(base, field, value));
                    let model = *field == "model" && *type_of == 's';
                    let status = if model { 404 } else { 400 };
                    let body = reply.json();
                    let error = if body["error"].is_object() { &body["error"] } else { &body };
                    let param = error["param"].as_str().unwrap_or_default();
                    assert_eq!(reply.status, status, "{path} {field}={value} over {kind:?}: {body}");
                    assert!(param.starts_with(field), "{path} {field}={value} over {kind:?}: {body}");
                    refused += 1;
                }
            }
        }
        assert!(refused > 1_000, "{refused} over {kind:?}");
    }
}
