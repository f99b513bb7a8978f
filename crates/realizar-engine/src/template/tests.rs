//! What templates may do, and what they may not.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Map, json};

use super::*;

fn messages() -> Vec<ChatMessage> {
    vec![
        ChatMessage::new("system", "Be brief."),
        ChatMessage::new("user", "Hi"),
        ChatMessage::new("assistant", "Hello."),
        ChatMessage::new("user", "Why?"),
    ]
}

fn render_with(source: &str, extra: serde_json::Value) -> Result<String, EngineError> {
    let template = ChatTemplate::compile(source, "<s>", "</s>")?;
    render(&template, extra)
}

fn render(template: &ChatTemplate, extra: serde_json::Value) -> Result<String, EngineError> {
    let extra = extra.as_object().cloned().unwrap_or_else(Map::new);
    let now = UNIX_EPOCH + Duration::from_secs(1_764_270_000);
    let messages = messages();
    template.render(&ChatPrompt { messages: &messages, add_generation_prompt: true, extra: &extra, now })
}

/// Name, what the four messages become.
const NAMED: &[(&str, &str)] = &[
    (
        "chatml",
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n",
    ),
    (
        "gemma",
        "<s><start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n<start_of_turn>model\nHello.<end_of_turn>\n<start_of_turn>user\nWhy?<end_of_turn>\n<start_of_turn>model\n",
    ),
    ("llama2", "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Hello. </s><s>[INST] Why? [/INST]"),
    (
        "llama3",
        "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nHello.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
    ("mistral", "<s>[INST] Be brief.\n\nHi [/INST] Hello.</s>[INST] Why? [/INST]"),
    (
        "phi3",
        "<|system|>\nBe brief.<|end|>\n<|user|>\nHi<|end|>\n<|assistant|>\nHello.<|end|>\n<|user|>\nWhy?<|end|>\n<|assistant|>\n",
    ),
    ("plain", "Be brief.\nHi\nHello.\nWhy?"),
    (
        "zephyr",
        "<|system|>\nBe brief.</s>\n<|user|>\nHi</s>\n<|assistant|>\nHello.</s>\n<|user|>\nWhy?</s>\n<|assistant|>\n",
    ),
];

#[test]
fn every_named_template_writes_its_format() {
    assert!(ChatTemplate::names().eq(NAMED.iter().map(|(name, _)| *name)), "a case for every name");
    for &(name, expected) in NAMED {
        let template = ChatTemplate::named(name, "<s>", "</s>").expect(name);
        assert_eq!(render(&template, json!({})).expect(name), expected, "{name}");
        assert!(!template.source().is_empty());
    }
}

#[test]
fn an_unknown_name_lists_the_known_ones() {
    let error = ChatTemplate::named("chatmal", "", "").expect_err("unknown").to_string();
    assert!(error.contains("chatmal") && error.contains("chatml, gemma, llama2"), "{error}");
}

/// Name, template, what it writes with `enable_thinking` and `tools` set: the dialect that model files use.
const DIALECT: &[(&str, &str, &str)] = &[
    ("blocks are trimmed", "{% if true %}\n  x\n{% endif %}\n", "  x\n"),
    (
        "slices and negative indices",
        "{{ messages[1:][-1].content }} {{ messages[::-1][0]['role'] }}",
        "Why? user",
    ),
    (
        "namespace",
        "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
        "4",
    ),
    (
        "loop controls",
        "{% for m in messages %}{% if loop.index0 == 1 %}{% continue %}{% endif %}{% if loop.last %}{% break %}{% endif %}{{ m.role }},{% endfor %}",
        "system,assistant,",
    ),
    (
        "python methods",
        "{{ ' a-b '.strip().split('-')[1].upper() }}{{ 'x'.startswith('x') }}{{ messages[0].get('nope', 'none') }}",
        "BTruenone",
    ),
    (
        "items of a mapping",
        "{% for k, v in tools[0].items() %}{{ k }}={{ v | tojson }};{% endfor %}",
        "name=\"f\";args=[1, \"<b>\"];",
    ),
    ("tojson is not for the web", "{{ tools | tojson }}", "[{\"name\": \"f\", \"args\": [1, \"<b>\"]}]"),
    ("tojson with indent", "{{ tools[0].args | tojson(indent=2) }}", "[\n  1,\n  \"<b>\"\n]"),
    ("variables from the caller", "{{ enable_thinking }}{{ unknown is defined }}", "FalseFalse"),
    ("fields of a message win over extras", "{{ messages[0].role }}", "system"),
    ("macros", "{% macro m(x, y='!') %}{{ x }}{{ y }}{% endmacro %}{{ m('a') }}{{ m('b', y='?') }}", "a!b?"),
    (
        "filters",
        "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | join('/') }}",
        "Hi/Why?",
    ),
    (
        "string tests",
        "{{ messages[0].content is string }}{{ tools is mapping }}{{ tools is iterable }}",
        "TrueFalseTrue",
    ),
    ("the date", "{{ strftime_now('%d %b %Y') }}", "27 Nov 2025"),
    ("special tokens", "{{ bos_token }}{{ eos_token }}", "<s></s>"),
    ("generation prompt", "{{ add_generation_prompt }}", "True"),
    (
        "marks for training",
        "a\n{%- generation %}\nb {{ 'no generation'|length }}{% endgeneration -%}\n c {{ '%}' }}{%generation%}{%+ endgeneration %}d",
        "ab 13c %}d",
    ),
    (
        "what Python can iterate and index",
        "{% for x in ['a', {}, [], none, 1, nope] %}{{ x is iterable }}{{ x is sequence }} {% endfor %}",
        "TrueTrue TrueTrue TrueTrue FalseFalse FalseFalse TrueFalse ",
    ),
    (
        "more of Python's methods",
        "{{ 'a,b,c'.rsplit(',', 1)[0] }} {{ 'ab'.removeprefix('a') }} {{ 'ab'.removesuffix('x') }}",
        "a,b b ab",
    ),
    (
        "tojson with separators",
        "{{ tools[0] | tojson(separators=(',', ':')) }}",
        "{\"name\":\"f\",\"args\":[1,\"<b>\"]}",
    ),
    ("string repetition and concatenation", "{{ '-' * 3 ~ 1 }}", "---1"),
];

#[test]
fn the_dialect_of_model_files() {
    let extra = json!({"enable_thinking": false, "tools": [{"name": "f", "args": [1, "<b>"]}]});
    for &(name, source, expected) in DIALECT {
        assert_eq!(render_with(source, extra.clone()).expect(name), expected, "{name}");
    }
}

#[test]
fn extra_fields_reach_the_template() {
    let mut message = ChatMessage::new("assistant", "");
    message.extra.insert("tool_calls".to_owned(), json!([{"name": "f"}]));
    message.extra.insert("role".to_owned(), json!("forged"));
    let template =
        ChatTemplate::compile("{{ messages[0].tool_calls[0].name }} {{ messages[0].role }}", "", "")
            .expect("ok");
    let prompt = ChatPrompt {
        messages: &[message],
        add_generation_prompt: false,
        extra: &Map::new(),
        now: UNIX_EPOCH,
    };
    assert_eq!(template.render(&prompt).expect("ok"), "f assistant");
}

#[test]
fn a_refusal_carries_the_templates_words() {
    let source =
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}";
    match render_with(source, json!({})) {
        Err(EngineError::TemplateRefused { message }) => assert_eq!(message, "System role not supported"),
        other => panic!("{other:?}"),
    }
    let in_macro = "{% macro m() %}{{ raise_exception('deep') }}{% endmacro %}{{ m() }}";
    assert!(
        matches!(render_with(in_macro, json!({})), Err(EngineError::TemplateRefused { message }) if message == "deep")
    );
}

/// Name, a template that does not compile or must not finish.
const HOSTILE: &[(&str, &str)] = &[
    ("syntax error", "line one\n{% if %}"),
    ("unknown filter", "{{ 1 | nope }}"),
    ("endless work", "{% for a in range(9999) %}{% for b in range(9999) %}{{ a }}{% endfor %}{% endfor %}"),
    (
        "doubling text",
        "{% set ns = namespace(s='xxxxxxxxxxxxxxxx') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}",
    ),
    ("huge repetition", "{{ 'x' * 9999999999 }}"),
    ("endless recursion", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
    ("files are out of reach", "{% include '/etc/passwd' %}"),
    ("attribute of nothing", "{{ nothing.at.all }}"),
    ("tojson with three separators", "{{ 1 | tojson(separators=(',', ':', ';')) }}"),
    ("nothing to split at", "{{ 'a'.rsplit('') }}"),
    ("tojson with an unknown option", "{{ 1 | tojson(colour='red') }}"),
];

/// Those of them that need more than they may.
const LIMITED: &[&str] = &["endless work", "endless recursion", "doubling text", "huge repetition"];

#[test]
fn hostile_templates_end_in_an_error() {
    for &(name, source) in HOSTILE {
        match render_with(source, json!({})) {
            Err(EngineError::TemplateLimit { message, .. }) if LIMITED.contains(&name) => {
                assert!(!message.contains('\n'), "{name}: {message}");
            }
            Err(EngineError::Template { message, .. }) if !LIMITED.contains(&name) => {
                assert!(!message.contains('\n'), "{name}: {message}")
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(matches!(
        render_with("line one\n{% if %}", json!({})),
        Err(EngineError::Template { line: Some(2), .. })
    ));
    let nested = format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(matches!(
        render_with(&nested, json!({})),
        Err(EngineError::Template { .. } | EngineError::TemplateLimit { .. })
    ));
    let long = "x".repeat(MAX_TEMPLATE_BYTES + 1);
    assert!(matches!(ChatTemplate::compile(&long, "", ""), Err(EngineError::TemplateSize { .. })));
}

#[test]
fn the_output_is_bounded() {
    // Fuel allows about 20 bytes of output per unit here, more than the output may have.
    let source = "{% set s = 'x' * 1000000 %}{% for i in range(40) %}{{ s }}{% endfor %}";
    assert!(matches!(render_with(source, json!({})), Err(EngineError::TemplateSize { .. })));
}
