//! The pages that tell which models there are.

use pybridge::codec::{self, Format};
use serde::Serialize;

use super::openai_error::OpenAiError;
use super::request_members::no_such_model;

#[derive(Serialize)]
struct Page<'name> {
    object: &'static str,
    data: Vec<Model<'name>>,
}

#[derive(Serialize)]
struct Model<'name> {
    id: &'name str,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

impl<'name> Model<'name> {
    fn new(id: &'name str, created: u64) -> Self {
        Self { id, object: "model", created, owned_by: "pybridge" }
    }
}

/// All models. `created`: seconds since 1970, the same for each.
pub(crate) fn models_page(models: &[String], created: u64) -> Vec<u8> {
    let data = models.iter().map(|name| Model::new(name, created)).collect();
    text(&Page { object: "list", data })
}

/// The model with this name; where no names are given any will do.
///
/// # Errors
/// 404: it is none of `models`.
pub(crate) fn model_page(id: &str, models: &[String], created: u64) -> Result<Vec<u8>, OpenAiError> {
    if !models.is_empty() && !models.iter().any(|name| name == id) {
        return Err(no_such_model(id).param("model"));
    }
    Ok(text(&Model::new(id, created)))
}

fn text(page: &impl Serialize) -> Vec<u8> {
    codec::to_bytes(Format::Json, page).unwrap_or_default()
}
