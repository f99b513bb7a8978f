//! `GET /v1/models` and the check of a request's `model`.

use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, refuse};
use crate::body::Body;
use crate::fields::Fields;
use crate::refusal::{Refusal, cut};
use crate::routes::{self, Envelope};

/// The list of the one model and its other names.
pub(crate) fn models(app: &App, _: &str) -> Response<Body> {
    let shared = &app.shared;
    let names = std::iter::once(&shared.backend.facts().id).chain(&shared.settings.aliases);
    let data: Vec<Value> = names.map(|name| entry(app, name)).collect();
    routes::json(StatusCode::OK, &json!({ "object": "list", "data": data }))
}

/// One model by name.
pub(crate) fn model(app: &App, path: &str) -> Response<Body> {
    let name = path.strip_prefix("/v1/models/").unwrap_or(path);
    match known(app, name) {
        true => routes::json(StatusCode::OK, &entry(app, name)),
        false => refuse(&Refusal::ModelNotFound { name: cut(name, 64) }, Envelope::OpenAi),
    }
}

fn entry(app: &App, name: &str) -> Value {
    let facts = app.shared.backend.facts();
    json!({
        "id": name,
        "object": "model",
        "created": facts.created,
        "owned_by": "realizar",
        "meta": {
            "architecture": facts.architecture,
            "n_ctx": facts.context,
            "n_vocab": facts.vocab,
            "n_params": facts.parameters,
        },
    })
}

fn known(app: &App, name: &str) -> bool {
    app.shared.backend.facts().id == name || app.shared.settings.aliases.iter().any(|alias| alias == name)
}

/// A request may leave the model out; if it names one, it must be ours.
pub(crate) fn check_model(app: &App, fields: Fields<'_>) -> Result<(), Refusal> {
    match fields.text("model")? {
        Some(name) if !known(app, name) => Err(Refusal::ModelNotFound { name: cut(name, 64) }),
        _ => Ok(()),
    }
}
