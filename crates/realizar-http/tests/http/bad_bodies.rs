//! Bodies that cannot be followed: each has its status, a stable code, and the field that was wrong.

use crate::wire::Reply;

pub(crate) const CHAT: &str = "/v1/chat/completions";
pub(crate) const COMPLETIONS: &str = "/v1/completions";
pub(crate) const HI: &str = r#""messages":[{"role":"user","content":"hi"}]"#;

/// Route, body, status, code, field.
type Case = (&'static str, String, u16, &'static str, Option<&'static str>);

/// A wrong value of a field of a chat.
fn chat(field: &'static str, value: &str, param: &'static str) -> Case {
    (CHAT, format!(r#"{{{HI},"{field}":{value}}}"#), 400, "invalid_value", Some(param))
}

fn message(message: &str, code: &'static str, param: &'static str) -> Case {
    let body = format!(r#"{{"messages":[{{"role":"user","content":"hi"}},{message}]}}"#);
    (CHAT, body, 400, code, Some(param))
}

fn body(path: &'static str, body: &str, code: &'static str, param: Option<&'static str>) -> Case {
    let status = if code == "model_not_found" { 404 } else { 400 };
    (path, body.to_owned(), status, code, param)
}

fn json_cases() -> Vec<Case> {
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(3000), "]".repeat(3000));
    vec![
        body(CHAT, "", "invalid_json", None),
        body(CHAT, "{", "invalid_json", None),
        body(CHAT, "nonsense", "invalid_json", None),
        body(CHAT, "[]", "invalid_json", None),
        body(CHAT, "null", "invalid_json", None),
        body(CHAT, "{} {}", "invalid_json", None),
        body(CHAT, "\u{feff}{}", "invalid_json", None),
        body(CHAT, "{/* x */}", "invalid_json", None),
        body(CHAT, "{'a':1}", "invalid_json", None),
        body(CHAT, r#"{"a":1,}"#, "invalid_json", None),
        body(CHAT, r#"{"seed":1,"seed":2}"#, "invalid_json", Some("seed")),
        body(CHAT, r#"{"temperature":1e999}"#, "invalid_json", Some("temperature")),
        body(CHAT, r#"{"temperature":NaN}"#, "invalid_json", Some("temperature")),
        body(CHAT, r#"{"temperature":Infinity}"#, "invalid_json", Some("temperature")),
        body(CHAT, r#"{"user":"\ud800"}"#, "invalid_json", Some("user")),
        (CHAT, deep, 400, "invalid_json", Some("a[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]")),
        body(
            "/tokenize",
            &format!(r#"{{"text":[{}0]}}"#, "0,".repeat(40_000)),
            "invalid_value",
            Some("text"),
        ),
    ]
}

fn field_cases() -> Vec<Case> {
    let many_stops = format!("[{}\"a\"]", "\"a\",".repeat(64));
    let long_stop = format!("\"{}\"", "a".repeat(1025));
    let biases = (0..1025).map(|id| format!("\"{id}\":0")).collect::<Vec<_>>().join(",");
    vec![
        chat("temperature", "-0.1", "temperature"),
        chat("temperature", "2.1", "temperature"),
        chat("temperature", "\"hot\"", "temperature"),
        chat("temperature", "[]", "temperature"),
        chat("top_p", "1.5", "top_p"),
        chat("top_p", "-1", "top_p"),
        chat("min_p", "2", "min_p"),
        chat("typical_p", "2", "typical_p"),
        chat("top_k", "-2", "top_k"),
        chat("top_k", "2147483648", "top_k"),
        chat("top_k", "1.5", "top_k"),
        chat("repeat_penalty", "0", "repeat_penalty"),
        chat("repetition_penalty", "1e30", "repetition_penalty"),
        chat("repeat_last_n", "-2", "repeat_last_n"),
        chat("frequency_penalty", "2.5", "frequency_penalty"),
        chat("presence_penalty", "-1e30", "presence_penalty"),
        chat("seed", "1.5", "seed"),
        chat("seed", "\"x\"", "seed"),
        chat("seed", "18446744073709551615", "seed"),
        chat("max_tokens", "0", "max_tokens"),
        chat("max_tokens", "-1", "max_tokens"),
        chat("max_tokens", "4294967296", "max_tokens"),
        chat("max_tokens", "9007199254740993.5", "max_tokens"),
        chat("max_completion_tokens", "0", "max_completion_tokens"),
        chat("n", "0", "n"),
        chat("n", "129", "n"),
        chat("n", "1000000", "n"),
        chat("n", "true", "n"),
        chat("stop", "\"\"", "stop"),
        chat("stop", "7", "stop"),
        chat("stop", "[\"a\",\"\"]", "stop[1]"),
        chat("stop", "[\"a\",null]", "stop[1]"),
        chat("stop", &many_stops, "stop"),
        chat("stop", &long_stop, "stop"),
        chat("logit_bias", "[]", "logit_bias"),
        chat("logit_bias", r#"{"x":1}"#, "logit_bias"),
        chat("logit_bias", r#"{"-1":1}"#, "logit_bias"),
        chat("logit_bias", r#"{"+1":1}"#, "logit_bias"),
        chat("logit_bias", r#"{"01":1}"#, "logit_bias"),
        chat("logit_bias", r#"{"9000000":1}"#, "logit_bias"),
        chat("logit_bias", r#"{"1":101}"#, "logit_bias.1"),
        chat("logit_bias", r#"{"1":"x"}"#, "logit_bias.1"),
        chat("logit_bias", &format!("{{{biases}}}"), "logit_bias"),
        chat("logprobs", "3", "logprobs"),
        chat("top_logprobs", "2", "top_logprobs"),
        (
            CHAT,
            format!(r#"{{{HI},"logprobs":true,"top_logprobs":21}}"#),
            400,
            "invalid_value",
            Some("top_logprobs"),
        ),
        chat("stream", "\"yes\"", "stream"),
        chat("stream_options", r#"{"include_usage":true}"#, "stream_options"),
        (
            CHAT,
            format!(r#"{{{HI},"stream":true,"stream_options":7}}"#),
            400,
            "invalid_value",
            Some("stream_options"),
        ),
        (
            CHAT,
            format!(r#"{{{HI},"stream":true,"stream_options":{{"include_usage":1}}}}"#),
            400,
            "invalid_value",
            Some("stream_options.include_usage"),
        ),
        chat("ignore_eos", "1", "ignore_eos"),
        chat("add_generation_prompt", "1", "add_generation_prompt"),
        chat("chat_template_kwargs", "[]", "chat_template_kwargs"),
        chat("chat_template_kwargs", r#"{"enable_thinking":"no"}"#, "chat_template_kwargs.enable_thinking"),
        chat("response_format", r#"{"type":"xml"}"#, "response_format.type"),
        chat("response_format", "\"text\"", "response_format"),
        chat("tools", "{}", "tools"),
        chat("model", "7", "model"),
    ]
}

/// Fields that change nothing here, and those of samplers that are off: a bad value is told all the same.
fn idle_cases() -> Vec<Case> {
    const BAD: &[(&str, &[&str])] = &[
        ("mirostat", &["-1", "3", "0.5", "true"]),
        ("min_keep", &["-1", "0.5", "1e30"]),
        ("n_probs", &["-1", "0.5", "[]"]),
        ("n_indent", &["-1", "2147483648"]),
        ("n_cmpl", &["0", "-1"]),
        ("dry_multiplier", &["-0.1", "101", "1e30", "{}"]),
        ("adaptive_target", &["-1.1", "1.1"]),
        ("adaptive_decay", &["-0.1", "1.1"]),
        ("t_max_predict_ms", &["-2", "0.5"]),
        ("reasoning_budget", &["-2"]),
        ("n_cache_reuse", &["-1"]),
        ("id_slot", &["-2"]),
        ("speculative.n_max", &["-1"]),
        ("speculative.p_min", &["1.5"]),
        ("user", &["7", "[]", "{}", "\"a\\u0000\""]),
        ("safety_identifier", &["7", "\"\\u001b\""]),
        ("prompt_cache_key", &["true"]),
        ("prompt_cache_retention", &["24", "\"forever\""]),
        ("service_tier", &["7", "\"gold\"", "\"\""]),
        ("verbosity", &["1", "\"chatty\""]),
        ("reasoning_format", &["true", "\"xml\""]),
        ("store", &["1", "\"yes\"", "[]"]),
        ("cache_prompt", &["1", "\"true\""]),
        ("return_tokens", &["0"]),
        ("prediction", &["7", "[]"]),
        ("metadata", &["7", "[]", "\"a\""]),
        ("preserved_tokens", &["7"]),
    ];
    let case = |path, base: &str, field: &str, value: &str, param: &'static str| -> Case {
        (path, format!(r#"{{{base},"{field}":{value}}}"#), 400, "invalid_value", Some(param))
    };
    let all = BAD.iter().flat_map(|(field, values)| values.iter().map(move |value| (*field, *value)));
    let both = [(CHAT, HI), (COMPLETIONS, r#""prompt":"a""#)];
    let mut cases: Vec<Case> = all
        .flat_map(|(field, value)| both.map(|(path, base)| case(path, base, field, value, field)))
        .collect();
    let pairs = (0..17).map(|at| format!("\"{at}\":\"\"")).collect::<Vec<_>>().join(",");
    let (long, name) = ("a".repeat(513), "a".repeat(65));
    let streamed = format!(r#"{HI},"stream":true"#);
    let hidden = r#"{"include_obfuscation":1}"#;
    cases.extend([
        chat("metadata", r#"{"a":7}"#, "metadata.a"),
        chat("metadata", &format!(r#"{{"a":"{long}"}}"#), "metadata.a"),
        chat("metadata", &format!(r#"{{"{name}":""}}"#), "metadata"),
        chat("metadata", &format!("{{{pairs}}}"), "metadata"),
        chat("dry_sequence_breakers", "[7]", "dry_sequence_breakers[0]"),
        case(CHAT, &streamed, "stream_options", hidden, "stream_options.include_obfuscation"),
    ]);
    cases
}

fn refused_cases() -> Vec<Case> {
    let unsupported = |field: &'static str, value: &str, param: &'static str| -> Case {
        (CHAT, format!(r#"{{{HI},"{field}":{value}}}"#), 400, "unsupported", Some(param))
    };
    vec![
        unsupported("chat_template", "\"{{ messages }}\"", "chat_template"),
        unsupported("tools", r#"[{"type":"function","function":{"name":"f"}}]"#, "tools"),
        unsupported("tool_choice", r#""required""#, "tool_choice"),
        unsupported("tool_choice", r#"{"type":"function","function":{"name":"f"}}"#, "tool_choice"),
        unsupported("functions", r#"[{"name":"f"}]"#, "functions"),
        unsupported("grammar", r#""root ::= [a-z]""#, "grammar"),
        unsupported("json_schema", "{}", "json_schema"),
        unsupported("guided_regex", r#""a+""#, "guided_regex"),
        unsupported("modalities", r#"["text","audio"]"#, "modalities[1]"),
        unsupported("audio", r#"{"voice":"v"}"#, "audio"),
        unsupported("mirostat", "2", "mirostat"),
        unsupported("dry_multiplier", "0.8", "dry_multiplier"),
        unsupported("n_probs", "3", "n_probs"),
        unsupported("min_keep", "1", "min_keep"),
        unsupported("min_tokens", "3", "min_tokens"),
        unsupported("stop_token_ids", "[2]", "stop_token_ids"),
        unsupported("bad_words", r#"["a"]"#, "bad_words"),
        unsupported("skip_special_tokens", "false", "skip_special_tokens"),
        unsupported("thinking_budget_tokens", "10", "thinking_budget_tokens"),
        unsupported("reasoning_budget_tokens", "0", "reasoning_budget_tokens"),
        unsupported("n_cmpl", "2", "n_cmpl"),
        unsupported("adaptive_target", "0.5", "adaptive_target"),
        unsupported("response_fields", r#"["content"]"#, "response_fields"),
        unsupported("web_search_options", "{}", "web_search_options"),
        unsupported("use_beam_search", "true", "use_beam_search"),
        unsupported("chat_template_kwargs", r#"{"range":1}"#, "chat_template_kwargs.range"),
        unsupported("chat_template_kwargs", r#"{"__class__":1}"#, "chat_template_kwargs.__class__"),
        unsupported("grammar", "\"root ::= x\"", "grammar"),
        unsupported("response_format", r#"{"type":"json_object"}"#, "response_format"),
        unsupported("response_format", r#"{"type":"json_schema","json_schema":{}}"#, "response_format"),
        unsupported("continue_final_message", "true", "continue_final_message"),
        unsupported("chat_template_kwargs", r#"{"messages":[]}"#, "chat_template_kwargs.messages"),
        chat("tools", "7", "tools"),
        chat("tools", "[7]", "tools[0]"),
        chat("tools", r#"[{"type":"shell"}]"#, "tools[0].type"),
        chat("tools", r#"[{"type":"function","function":{"name":"a b"}}]"#, "tools[0].function.name"),
        chat(
            "tools",
            r#"[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"f"}}]"#,
            "tools[1].function.name",
        ),
        chat("tool_choice", r#""perhaps""#, "tool_choice"),
        chat("parallel_tool_calls", "1", "parallel_tool_calls"),
        chat("modalities", r#"["smell"]"#, "modalities[0]"),
        chat("mirostat", r#""on""#, "mirostat"),
        chat("mirostat_tau", "-1", "mirostat_tau"),
        chat("dry_allowed_length", "-1", "dry_allowed_length"),
        chat("use_beam_search", r#""no""#, "use_beam_search"),
        (
            CHAT,
            format!(r#"{{{HI},"tools":[{{"type":"function"}}]}}"#),
            400,
            "missing_field",
            Some("tools[0].function"),
        ),
        (
            CHAT,
            format!(r#"{{{HI},"response_format":{{}}}}"#),
            400,
            "missing_field",
            Some("response_format.type"),
        ),
        (CHAT, format!(r#"{{{HI},"model":"gpt-4"}}"#), 404, "model_not_found", Some("model")),
    ]
}

fn message_cases() -> Vec<Case> {
    vec![
        body(CHAT, "{}", "missing_field", Some("messages")),
        body(CHAT, r#"{"messages":null}"#, "missing_field", Some("messages")),
        body(CHAT, r#"{"messages":[]}"#, "invalid_value", Some("messages")),
        body(CHAT, r#"{"messages":"hi"}"#, "invalid_value", Some("messages")),
        body(CHAT, r#"{"messages":{"role":"user"}}"#, "invalid_value", Some("messages")),
        message("7", "invalid_value", "messages[1]"),
        message("{}", "missing_field", "messages[1].role"),
        message(r#"{"role":7,"content":""}"#, "invalid_value", "messages[1].role"),
        message(r#"{"role":"robot","content":""}"#, "invalid_value", "messages[1].role"),
        message(r#"{"role":"user"}"#, "missing_field", "messages[1].content"),
        message(r#"{"role":"user","content":null}"#, "missing_field", "messages[1].content"),
        message(r#"{"role":"user","content":7}"#, "invalid_value", "messages[1].content"),
        message(r#"{"role":"user","content":{"type":"text"}}"#, "invalid_value", "messages[1].content"),
        message(r#"{"role":"user","content":["hi"]}"#, "invalid_value", "messages[1].content[0]"),
        message(r#"{"role":"user","content":[{}]}"#, "missing_field", "messages[1].content[0].type"),
        message(
            r#"{"role":"user","content":[{"type":"text"}]}"#,
            "missing_field",
            "messages[1].content[0].text",
        ),
        message(
            r#"{"role":"user","content":[{"type":"smell"}]}"#,
            "invalid_value",
            "messages[1].content[0].type",
        ),
        message(
            r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://169.254.169.254/"}}]}"#,
            "unsupported",
            "messages[1].content[0]",
        ),
        message(r#"{"role":"user","content":"","name":7}"#, "invalid_value", "messages[1].name"),
        message(r#"{"role":"user","content":"","name":"a\u0000"}"#, "invalid_value", "messages[1].name"),
        message(
            r#"{"role":"tool","content":"","tool_call_id":"a\u0000"}"#,
            "invalid_value",
            "messages[1].tool_call_id",
        ),
        message(r#"{"role":"assistant"}"#, "missing_field", "messages[1].content"),
        message(r#"{"role":"assistant","content":"","refusal":7}"#, "invalid_value", "messages[1].refusal"),
        message(
            r#"{"role":"assistant","content":"","audio":{"id":"a"}}"#,
            "unsupported",
            "messages[1].audio",
        ),
        message(
            r#"{"role":"assistant","content":"","function_call":7}"#,
            "invalid_value",
            "messages[1].function_call",
        ),
        message(
            r#"{"role":"assistant","tool_calls":[{"type":"shell","function":{"name":"f"}}]}"#,
            "invalid_value",
            "messages[1].tool_calls[0].type",
        ),
        message(r#"{"role":"assistant","tool_calls":7}"#, "invalid_value", "messages[1].tool_calls"),
        message(r#"{"role":"assistant","tool_calls":[7]}"#, "invalid_value", "messages[1].tool_calls[0]"),
        message(
            r#"{"role":"assistant","tool_calls":[{}]}"#,
            "missing_field",
            "messages[1].tool_calls[0].function",
        ),
        message(
            r#"{"role":"assistant","tool_calls":[{"function":{}}]}"#,
            "missing_field",
            "messages[1].tool_calls[0].function.name",
        ),
        message(
            r#"{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{"}}]}"#,
            "invalid_value",
            "messages[1].tool_calls[0].function.arguments",
        ),
        (
            CHAT,
            format!(r#"{{"messages":[{{"role":"user","content":"{}"}}]}}"#, "a ".repeat(600)),
            400,
            "context_length_exceeded",
            Some("messages"),
        ),
    ]
}

fn completion_cases() -> Vec<Case> {
    let c =
        |text: &str, code: &'static str, param: Option<&'static str>| body(COMPLETIONS, text, code, param);
    vec![
        c("{}", "missing_field", Some("prompt")),
        c(r#"{"prompt":7}"#, "invalid_value", Some("prompt")),
        c(r#"{"prompt":{}}"#, "invalid_value", Some("prompt")),
        c(r#"{"prompt":[]}"#, "invalid_value", Some("prompt")),
        c(r#"{"prompt":""}"#, "invalid_value", Some("prompt")),
        c(r#"{"prompt":["a",""]}"#, "invalid_value", Some("prompt[1]")),
        c(r#"{"prompt":[-1]}"#, "invalid_value", Some("prompt[0]")),
        c(r#"{"prompt":[1,9000000]}"#, "invalid_value", Some("prompt[1]")),
        c(r#"{"prompt":[1,"a"]}"#, "invalid_value", Some("prompt[1]")),
        c(r#"{"prompt":[1,1.5]}"#, "invalid_value", Some("prompt[1]")),
        c(r#"{"prompt":[[]]}"#, "invalid_value", Some("prompt[0]")),
        c(r#"{"prompt":["a",[[1]]]}"#, "invalid_value", Some("prompt[1][0]")),
        c(r#"{"prompt":["a",null]}"#, "invalid_value", Some("prompt[1]")),
        c(r#"{"prompt":"a","logprobs":6}"#, "invalid_value", Some("logprobs")),
        c(r#"{"prompt":"a","logprobs":true}"#, "invalid_value", Some("logprobs")),
        c(r#"{"prompt":"a","best_of":2}"#, "unsupported", Some("best_of")),
        c(r#"{"prompt":"a","best_of":21}"#, "invalid_value", Some("best_of")),
        c(r#"{"prompt":"a","suffix":"b"}"#, "unsupported", Some("suffix")),
        c(r#"{"prompt":"a","echo":true,"logprobs":1}"#, "unsupported", Some("echo")),
        c(r#"{"prompt":"a","echo":"x"}"#, "invalid_value", Some("echo")),
        c(r#"{"prompt":"a","max_tokens":0}"#, "invalid_value", Some("max_tokens")),
        (
            COMPLETIONS,
            format!(r#"{{"prompt":"{}","echo":true,"max_tokens":0}}"#, "a ".repeat(600)),
            400,
            "context_length_exceeded",
            Some("prompt"),
        ),
        c(r#"{"prompt":["a","b"],"n":65}"#, "invalid_value", Some("n")),
        (
            COMPLETIONS,
            format!(r#"{{"prompt":"{}","n":20}}"#, "a ".repeat(100)),
            400,
            "invalid_value",
            Some("n"),
        ),
        (
            COMPLETIONS,
            format!(r#"{{"prompt":"{}"}}"#, "a ".repeat(600)),
            400,
            "context_length_exceeded",
            Some("prompt"),
        ),
        (
            COMPLETIONS,
            format!(r#"{{"prompt":["a","{}"]}}"#, "a ".repeat(600)),
            400,
            "context_length_exceeded",
            Some("prompt[1]"),
        ),
        body("/v1/embeddings", "{}", "missing_field", Some("input")),
        body("/v1/embeddings", r#"{"input":[]}"#, "invalid_value", Some("input")),
        body("/v1/embeddings", r#"{"input":"a"}"#, "no_embeddings", Some("input")),
        body("/v1/embeddings", r#"{"input":"a","user":7}"#, "invalid_value", Some("user")),
        body(
            "/v1/embeddings",
            r#"{"input":"a","embd_normalize":-2}"#,
            "invalid_value",
            Some("embd_normalize"),
        ),
        body("/v1/embeddings", r#"{"input":"a","embd_normalize":1}"#, "unsupported", Some("embd_normalize")),
        body(
            "/v1/embeddings",
            r#"{"input":"a","encoding_format":"hex"}"#,
            "invalid_value",
            Some("encoding_format"),
        ),
        body("/v1/embeddings", r#"{"input":"a","dimensions":0}"#, "invalid_value", Some("dimensions")),
        body("/v1/embeddings", r#"{"input":"a","dimensions":2}"#, "unsupported", Some("dimensions")),
    ]
}

fn native_cases() -> Vec<Case> {
    let long = format!(r#"{{"prompts":[{}"a"]}}"#, "\"a\",".repeat(128));
    vec![
        body("/tokenize", "{}", "missing_field", Some("text")),
        body("/tokenize", r#"{"text":7}"#, "invalid_value", Some("text")),
        body("/tokenize", r#"{"content":[]}"#, "invalid_value", Some("content")),
        body("/tokenize", r#"{"text":"a","add_special":1}"#, "invalid_value", Some("add_special")),
        body("/tokenize", r#"{"text":"a","parse_special":"x"}"#, "invalid_value", Some("parse_special")),
        body("/tokenize", r#"{"content":"a","with_pieces":1}"#, "invalid_value", Some("with_pieces")),
        body("/tokenize", r#"{"text":"a","model":"x"}"#, "model_not_found", Some("model")),
        body("/detokenize", "{}", "missing_field", Some("token_ids")),
        body("/detokenize", r#"{"token_ids":"a"}"#, "invalid_value", Some("token_ids")),
        body("/detokenize", r#"{"tokens":[1,9000000]}"#, "invalid_value", Some("tokens[1]")),
        body("/detokenize", r#"{"tokens":[null]}"#, "invalid_value", Some("tokens[0]")),
        body("/apply-template", "{}", "missing_field", Some("messages")),
        (
            "/apply-template",
            format!(r#"{{{HI},"tools":[{{"type":"function","function":{{"name":"f"}}}}]}}"#),
            400,
            "unsupported",
            Some("tools"),
        ),
        (
            "/apply-template",
            format!(r#"{{{HI},"chat_template":"x"}}"#),
            400,
            "unsupported",
            Some("chat_template"),
        ),
        body("/tokenize", r#"{"text":"a","content":7}"#, "invalid_value", Some("content")),
        body("/tokenize", r#"{"text":"a","with_pieces":1}"#, "invalid_value", Some("with_pieces")),
        body("/detokenize", r#"{"token_ids":[1],"tokens":7}"#, "invalid_value", Some("tokens")),
        (
            "/generate",
            format!(r#"{{"prompt":"{}"}}"#, "a ".repeat(600)),
            400,
            "context_length_exceeded",
            Some("prompt"),
        ),
        (
            "/batch/generate",
            format!(r#"{{"prompts":["a","{}"]}}"#, "a ".repeat(600)),
            400,
            "context_length_exceeded",
            Some("prompts[1]"),
        ),
        body("/batch/tokenize", r#"{"texts":[]}"#, "invalid_value", Some("texts")),
        body("/batch/tokenize", r#"{"texts":["a",7]}"#, "invalid_value", Some("texts[1]")),
        body("/batch/tokenize", "{}", "missing_field", Some("texts")),
        body("/generate", "{}", "missing_field", Some("prompt")),
        body("/generate", r#"{"prompt":["a"]}"#, "invalid_value", Some("prompt")),
        body("/generate", r#"{"prompt":"a","strategy":"beam"}"#, "invalid_value", Some("strategy")),
        body("/generate", r#"{"prompt":"a","top_k":0}"#, "invalid_value", Some("top_k")),
        body("/generate", r#"{"prompt":"a","temperature":-1}"#, "invalid_value", Some("temperature")),
        body("/generate", r#"{"prompt":"a","top_p":1.1}"#, "invalid_value", Some("top_p")),
        body("/generate", r#"{"prompt":"a","max_tokens":0}"#, "invalid_value", Some("max_tokens")),
        body("/generate", r#"{"prompt":"a","seed":"x"}"#, "invalid_value", Some("seed")),
        body("/generate", r#"{"prompt":"a","grammar":"x"}"#, "unsupported", Some("grammar")),
        body("/generate", r#"{"prompt":"a","n":5}"#, "unsupported", Some("n")),
        body("/generate", r#"{"prompt":"a","n":0}"#, "invalid_value", Some("n")),
        body("/generate", r#"{"prompt":"a","stream":true}"#, "unsupported", Some("stream")),
        body("/stream/generate", r#"{"prompt":"a","stream":false}"#, "unsupported", Some("stream")),
        body("/generate", r#"{"prompt":"a","logprobs":true}"#, "unsupported", Some("logprobs")),
        body("/generate", r#"{"prompt":"a","user":7}"#, "invalid_value", Some("user")),
        body(
            "/batch/generate",
            r#"{"prompts":["a"],"tools":[{}]}"#,
            "missing_field",
            Some("tools[0].function"),
        ),
        body("/stream/generate", r#"{"prompt":7}"#, "invalid_value", Some("prompt")),
        body("/batch/generate", r#"{"prompts":"a"}"#, "invalid_value", Some("prompts")),
        ("/batch/generate", long, 400, "invalid_value", Some("prompts")),
    ]
}

/// Sends a server all of them. A context of 256 tokens for each of four sequences is expected of it.
pub(crate) fn check(server: &str, post: impl Fn(&str, &str) -> Reply) {
    let cases = [
        json_cases(),
        field_cases(),
        idle_cases(),
        refused_cases(),
        message_cases(),
        completion_cases(),
        native_cases(),
    ]
    .concat();
    assert!(cases.len() >= 80, "{} cases", cases.len());
    for (path, body, status, code, param) in &cases {
        let shown: String = body.chars().take(120).collect();
        let reply = post(path, body);
        let got = (reply.status, reply.code());
        assert_eq!(got, (*status, (*code).to_owned()), "{path} {shown} over {server}: {}", reply.body);
        let answer = reply.json();
        let native = answer["error"].is_string();
        assert_eq!(native, !path.starts_with("/v1"), "{path}: {answer}");
        let error = if native { &answer } else { &answer["error"] };
        assert_eq!(error["param"].as_str(), *param, "{path} {shown} over {server}: {answer}");
        let kind = if native { None } else { Some("invalid_request_error") };
        assert_eq!(error["type"].as_str(), kind, "{path} {shown} over {server}: {answer}");
        let message = if native { &error["error"] } else { &error["message"] };
        // Row 133: where the text stops being one.
        let place = *code != "invalid_json"
            || matches!(body.as_str(), "[]" | "null")
            || message.as_str().is_some_and(|text| text.contains("byte "));
        assert!(place, "{path} {shown} over {server}: {answer}");
        let sentence = message.as_str().is_some_and(|text| (5..400).contains(&text.len()));
        assert!(sentence, "{path} {shown} over {server}: {answer}");
    }
}
