//! A conversation into a prompt, by the template the model brings along.
//!
//! The template is a program from a file nobody vouches for. It cannot read files, it is cut off
//! after [`FUEL`] instructions and [`MAX_PROMPT`] bytes, and it is told neither time nor date, so
//! the same conversation always gives the same prompt.

pub mod isolated;

use std::io::Cursor;

use minijinja::{Environment, Error, ErrorKind, context};
use minijinja_contrib::pycompat::unknown_method_callback;

use crate::exit::Failure;
use crate::reference::isolation::Conversation;

/// Instructions a template may execute. Real ones need a few hundred.
pub const FUEL: u64 = 1_000_000;
/// Bytes a template may produce.
pub const MAX_PROMPT: usize = 1 << 20;

/// Renders the prompt that asks for the next turn of the assistant.
pub fn render(conversation: &Conversation) -> Result<String, Failure> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_unknown_method_callback(unknown_method_callback);
    environment.add_function("raise_exception", |message: String| -> Result<(), Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    let template = environment.template_from_str(&conversation.template);
    let template = template.map_err(failure)?;
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
        .map_err(failure)?;
    let length = prompt.position() as usize;
    bytes.truncate(length);
    String::from_utf8(bytes).map_err(Failure::input)
}

/// The innermost error says what happened; those around it only say in which block.
fn failure(error: Error) -> Failure {
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
    let what = engine::refusal::escape(&innermost.to_string());
    Failure::input(match innermost.kind() {
        ErrorKind::OutOfFuel => {
            format!("TEMPLATE_LIMIT: more than {FUEL} instructions{line}")
        }
        ErrorKind::WriteFailure => {
            format!("TEMPLATE_LIMIT: more than {MAX_PROMPT} bytes of prompt{line}")
        }
        _ if what.contains("recursion") => format!("TEMPLATE_LIMIT: {what}{line}"),
        _ => format!("TEMPLATE_INVALID: {what}{line} (try without --chat)"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;
    use crate::reference::isolation::Message;

    fn rendered(template: &str) -> Result<String, Failure> {
        let message = |role: &str, content: &str| Message {
            role: role.into(),
            content: content.into(),
        };
        render(&Conversation {
            template: template.into(),
            messages: vec![
                message("system", " Be brief. "),
                message("user", "Who are you?"),
            ],
            bos: "<s>".into(),
            eos: "</s>".into(),
        })
    }

    fn refused(template: &str) -> String {
        let failure = rendered(template).expect_err("must be refused");
        assert_eq!(failure.exit, Exit::BadInput);
        failure.message
    }

    #[test]
    fn a_template_in_the_style_of_llama_3() {
        let template = "{% set loop_messages = messages %}{% for message in loop_messages %}\
            {% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + \
            message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}\
            {% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}\
            {% if add_generation_prompt %}\
            {{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}";
        insta::assert_snapshot!(rendered(template).expect("renders"), @r"
        <s><|start_header_id|>system<|end_header_id|>

        Be brief.<|eot_id|><|start_header_id|>user<|end_header_id|>

        Who are you?<|eot_id|><|start_header_id|>assistant<|end_header_id|>
        ");
    }

    #[test]
    fn methods_of_python_strings_work_as_they_do_in_published_templates() {
        let template = "{%- for m in messages -%}\n  {%- if m.role.startswith('sys') %}\
            {{- m.content.strip().split(' ')[0] ~ '|' }}\n  {%- else %}\
            {{- m['content'].upper().rstrip('?') + eos_token }}\n  {%- endif %}\n{%- endfor %}";
        let prompt = rendered(template).expect("renders");
        assert_eq!(prompt, "Be|WHO ARE YOU</s>");
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
