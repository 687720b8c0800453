//! A conversation into a prompt, by the template the model brings along.
//!
//! The template is a program from a file nobody vouches for. It cannot read files, it is cut off
//! after [`FUEL`] instructions and [`MAX_PROMPT`] bytes, and it is told neither time nor date, so
//! the same conversation always gives the same prompt. What it may ask of memory is not bounded:
//! who opens files of strangers renders in a process that is.
#![forbid(unsafe_code)]

use std::io::Cursor;

use minijinja::{Environment, Error, ErrorKind, context};
use minijinja_contrib::pycompat::unknown_method_callback;
use serde::{Deserialize, Serialize};

use crate::refusal::escape;

/// Instructions a template may execute. Real ones need a few hundred.
pub const FUEL: u64 = 1_000_000;
/// Bytes a template may produce.
pub const MAX_PROMPT: usize = 1 << 20;

/// A conversation, and the template that makes a prompt of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversation {
    /// The model's template.
    pub template: String,
    /// Turn after turn.
    pub messages: Vec<Message>,
    /// Text of the token that begins a text, for the template to name.
    pub bos: String,
    /// Text of the token that ends one.
    pub eos: String,
}

/// One turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// What was said.
    pub content: String,
}

/// Why a template made no prompt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It wants too much.
    #[error("TEMPLATE_LIMIT: {0}")]
    Limit(String),
    /// It is no template, or complains of the conversation.
    #[error("TEMPLATE_INVALID: {0}")]
    Invalid(String),
}

impl Message {
    /// What somebody said.
    pub fn new(role: &str, content: &str) -> Self {
        Message {
            role: role.into(),
            content: content.into(),
        }
    }
}

/// Renders the prompt that asks for the next turn of the assistant.
pub fn render(conversation: &Conversation) -> Result<String, TemplateError> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_unknown_method_callback(unknown_method_callback);
    environment.add_function("raise_exception", |message: String| -> Result<(), Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    let template = environment.template_from_str(&conversation.template);
    let template = template.map_err(refused)?;
    let mut bytes = vec![0; MAX_PROMPT];
    let mut prompt = Cursor::new(&mut bytes[..]); // a slice does not grow
    let values = context! {
        messages => &conversation.messages,
        add_generation_prompt => true,
        bos_token => &conversation.bos,
        eos_token => &conversation.eos,
    };
    template
        .render_captured_to(values, &mut prompt)
        .map_err(refused)?;
    let length = prompt.position() as usize;
    bytes.truncate(length);
    String::from_utf8(bytes).map_err(|e| TemplateError::Invalid(e.to_string()))
}

/// The innermost error says what happened; those around it only say in which block.
fn refused(error: Error) -> TemplateError {
    let mut innermost = &error;
    while let Some(source) = std::error::Error::source(innermost)
        && let Some(deeper) = source.downcast_ref::<Error>()
    {
        innermost = deeper;
    }
    let line = match error.line() {
        Some(line) => format!(" in line {line} of the chat template"),
        None => " in the chat template".into(),
    };
    let what = escape(&innermost.to_string());
    match innermost.kind() {
        ErrorKind::OutOfFuel => {
            TemplateError::Limit(format!("more than {FUEL} instructions{line}"))
        }
        ErrorKind::WriteFailure => {
            TemplateError::Limit(format!("more than {MAX_PROMPT} bytes of prompt{line}"))
        }
        _ if what.contains("recursion") => TemplateError::Limit(format!("{what}{line}")),
        _ => TemplateError::Invalid(format!("{what}{line}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(template: &str) -> Result<String, TemplateError> {
        render(&Conversation {
            template: template.into(),
            messages: vec![
                Message::new("system", " Be brief. "),
                Message::new("user", "Who are you?"),
            ],
            bos: "<s>".into(),
            eos: "</s>".into(),
        })
    }

    fn refused(template: &str) -> String {
        rendered(template).expect_err("must be refused").to_string()
    }

    #[test]
    fn a_template_in_the_style_of_llama_3() {
        let template = "{% set loop_messages = messages %}{% for message in loop_messages %}\
            {% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + \
            message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}\
            {% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}\
            {% if add_generation_prompt %}\
            {{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}";
        let expected = "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>\
            <|start_header_id|>user<|end_header_id|>\n\nWho are you?<|eot_id|>\
            <|start_header_id|>assistant<|end_header_id|>\n\n";
        assert_eq!(rendered(template).as_deref(), Ok(expected));
    }

    #[test]
    fn methods_of_python_strings_work_as_they_do_in_published_templates() {
        let template = "{%- for m in messages -%}\n  {%- if m.role.startswith('sys') %}\
            {{- m.content.strip().split(' ')[0] ~ '|' }}\n  {%- else %}\
            {{- m['content'].upper().rstrip('?') + eos_token }}\n  {%- endif %}\n{%- endfor %}";
        assert_eq!(
            rendered(template).as_deref(),
            Ok("Be|WHO ARE YOU</s>"),
            "a published habit"
        );
    }

    #[test]
    fn endless_work_is_cut_off() {
        let nested = "{% for a in range(1000) %}{% for b in range(1000) %}{% endfor %}{% endfor %}";
        assert!(refused(nested).starts_with("TEMPLATE_LIMIT: more than 1000000 instructions"));
        let recursive = "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}";
        assert!(refused(recursive).starts_with("TEMPLATE_LIMIT"));
        let long = "{% for a in range(90000) %}{{ 'twelve bytes' }}{% endfor %}";
        assert!(refused(long).starts_with("TEMPLATE_LIMIT: more than 1048576 bytes"));
    }

    #[test]
    fn what_a_template_complains_about_is_said() {
        let message = refused("{{ raise_exception('roles must \x1b[2Jalternate') }}");
        assert!(
            message.contains("roles must \\u{1b}[2Jalternate"),
            "{message}"
        );
        assert!(refused("{{ 1 // 0 }}").starts_with("TEMPLATE_INVALID"));
        assert!(refused("{% for %}").contains("line 1"));
        for outside in ["{% include '/etc/passwd' %}", "{% import 'x' as y %}"] {
            assert!(
                refused(outside).starts_with("TEMPLATE_INVALID"),
                "{outside}"
            );
        }
    }
}
