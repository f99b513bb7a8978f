//! Text to ids, ids to text, and conversations to text.

use http::Response;
use realizar_engine::EncodeOptions;
use serde_json::{Value, json};

use crate::app::App;
use crate::body::Body;
use crate::fields::Fields;
use crate::openai::{check_model, conversation, refuse_unbuilt, token_ids};
use crate::refusal::Refusal;
use crate::routes::{self, Call};

/// Texts of one request.
pub(super) const MAX_BATCH: usize = 2048;

/// `{text}` gives `{token_ids, num_tokens}`; `{content}` is llama-server's dialect and gives `{tokens}`.
pub(crate) async fn tokenize(app: &App, call: Call) -> Result<Response<Body>, Refusal> {
    let fields = Fields::of(&call);
    check_model(app, fields)?;
    let (own, content) = (fields.text("text")?, fields.text("content")?);
    let foreign = own.is_none() && content.is_some();
    let text = own.or(content).ok_or_else(|| fields.missing("text"))?.to_owned();
    let options = encode_options(fields, !foreign)?;
    let pieces = fields.boolean("with_pieces")?.unwrap_or(false) && foreign;
    let each = if pieces { ID + PIECE } else { ID };
    let held = app.shared.memory.take(text.len().saturating_mul(each))?;
    let json = app
        .blocking(&call, move |backend| {
            let ids = backend.encode(&text, options)?;
            Ok(match (foreign, pieces) {
                (false, _) => counted(&ids),
                (true, false) => format!("{{\"tokens\":{}}}", list(&ids, |id| id.to_string())),
                (true, true) => {
                    let with_piece =
                        |id: &u32| json!({ "id": id, "piece": piece(backend.piece(*id)) }).to_string();
                    format!("{{\"tokens\":{}}}", list(&ids, with_piece))
                }
            })
        })
        .await?;
    Ok(routes::long(json, held))
}

/// What ids and their text take of the memory for each byte of a text, which becomes one token at most.
const ID: usize = 12;
/// The same for the texts of tokens beside them.
const PIECE: usize = 32;

/// Writes a list item by item: as a tree of values it would take many times its size.
fn list<T>(items: &[T], item: impl Fn(&T) -> String) -> String {
    let mut out = String::from("[");
    for (at, value) in items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str(&item(value));
    }
    out.push(']');
    out
}

/// Ids and their number.
fn counted(ids: &[u32]) -> String {
    let count = ids.len();
    format!("{{\"num_tokens\":{count},\"token_ids\":{}}}", list(ids, u32::to_string))
}

/// A text as the only field of an object, with its part of the memory.
fn one(app: &App, name: &str, text: String) -> Result<Response<Body>, Refusal> {
    let held = app.shared.memory.take(text.len().saturating_mul(2))?;
    Ok(routes::long(json!({ name: text }).to_string(), held))
}

/// Whether the beginning of a text is marked, and whether special tokens that are written out count as such.
fn encode_options(fields: Fields<'_>, add_special: bool) -> Result<EncodeOptions, Refusal> {
    Ok(EncodeOptions {
        add_special: fields.boolean("add_special")?.unwrap_or(add_special),
        parse_special: fields.boolean("parse_special")?.unwrap_or(true),
    })
}

/// A piece as text, or as bytes where it is not text.
fn piece(bytes: Vec<u8>) -> Value {
    String::from_utf8(bytes).map_or_else(|error| json!(error.into_bytes()), Value::from)
}

/// `{token_ids}` gives `{text}`; `{tokens}` is llama-server's dialect and gives `{content}`.
pub(crate) async fn detokenize(app: &App, call: Call) -> Result<Response<Body>, Refusal> {
    let fields = Fields::of(&call);
    check_model(app, fields)?;
    let (own, tokens) = (fields.list("token_ids", 0..=1 << 20)?, fields.list("tokens", 0..=1 << 20)?);
    let foreign = own.is_none() && tokens.is_some();
    let name = if foreign { "tokens" } else { "token_ids" };
    let list = own.or(tokens).ok_or_else(|| fields.missing(name))?;
    let ids = token_ids(list, name, app.shared.backend.facts().vocab)?;
    let text = app.blocking(&call, move |backend| Ok(backend.decode(&ids)?)).await?;
    one(app, if foreign { "content" } else { "text" }, text)
}

/// `{messages}` gives `{prompt}`: what the model would read.
pub(crate) async fn apply_template(app: &App, call: Call) -> Result<Response<Body>, Refusal> {
    let fields = Fields::of(&call);
    check_model(app, fields)?;
    refuse_unbuilt(fields)?;
    let chat = conversation(fields)?;
    let prompt = app.blocking(&call, move |backend| Ok(backend.render(&chat)?)).await?;
    one(app, "prompt", prompt)
}

/// `{texts}` gives `{results: [{token_ids, num_tokens}]}` in the same order.
pub(crate) async fn batch_tokenize(app: &App, call: Call) -> Result<Response<Body>, Refusal> {
    let fields = Fields::of(&call);
    check_model(app, fields)?;
    let texts = texts(fields, "texts")?;
    let options = encode_options(fields, true)?;
    let bytes: usize = texts.iter().map(String::len).sum();
    let held = app.shared.memory.take(bytes.saturating_mul(ID))?;
    let results = app
        .blocking(&call, move |backend| {
            let entry = |text: &String| Ok(counted(&backend.encode(text, options)?));
            texts.iter().map(entry).collect::<Result<Vec<String>, Refusal>>()
        })
        .await?;
    Ok(routes::long(format!("{{\"results\":{}}}", list(&results, String::clone)), held))
}

/// A list of at least one string.
pub(super) fn texts(fields: Fields<'_>, name: &str) -> Result<Vec<String>, Refusal> {
    let list = fields.list(name, 1..=MAX_BATCH)?.ok_or_else(|| fields.missing(name))?;
    let each = list.iter().enumerate().map(|(at, value)| {
        let text = value.as_str().map(str::to_owned);
        text.ok_or_else(|| Refusal::field(format!("{}[{at}]", fields.path(name)), value, "a string"))
    });
    each.collect()
}
