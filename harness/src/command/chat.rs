//! A conversation into a prompt, in a process that may be lost: the template is a program from a
//! file nobody vouches for.

pub mod isolated;

use engine::template::{Conversation, TemplateError};

use crate::exit::Failure;

/// Renders the prompt that asks for the next turn of the assistant.
pub fn render(conversation: &Conversation) -> Result<String, Failure> {
    engine::template::render(conversation).map_err(|error| {
        let next = match error {
            TemplateError::Limit(_) => "",
            TemplateError::Invalid(_) => " (try without --chat)",
        };
        Failure::input(format!("{error}{next}"))
    })
}
