//! Chat templates, written freely or put together from what templates are made of.

use arbitrary::{Arbitrary, Unstructured};
use engine::template::{Conversation, MAX_PROMPT, Message, TemplateError, render};

use crate::drawn::drawn;

drawn! {
    struct Input {
        parts: Vec<Part>,
        messages: Vec<(u8, String)>,
        bos: String,
        eos: String,
    }
}

drawn! {
    enum Part {
        Usual(u8),
        Text(String),
        Number(i16),
    }
}

/// What templates are made of.
const USUAL: [&str; 48] = [
    "{% for m in messages %}",
    "{% endfor %}",
    "{% if ",
    "{% elif ",
    "{% else %}",
    "{% endif %}",
    "{% set x = ",
    "{% set ns = namespace(a=0) %}",
    "{% macro f(a, b=1) %}",
    "{% endmacro %}",
    "{{ f(",
    "{% block b %}",
    "{% endblock %}",
    "{% filter upper %}",
    "{% endfilter %}",
    "{% include ",
    "{% import 'a' as b %}",
    "{% raw %}",
    "{% endraw %}",
    "{% break %}",
    "{% continue %}",
    " %}",
    "{{ ",
    " }}",
    "messages",
    "m.role",
    "m['content']",
    "loop.index0",
    "loop.last",
    "bos_token",
    "eos_token",
    "add_generation_prompt",
    "raise_exception(",
    ")",
    " | trim",
    " | tojson",
    " | length",
    " | join(',')",
    " | sort",
    " | batch(2)",
    ".split(' ')",
    ".replace('a', 'b')",
    "[1:]",
    "[::-1]",
    " + ",
    " ~ ",
    " == ",
    "range(",
];
const ROLES: [&str; 4] = ["system", "user", "assistant", ""];

/// Renders twice.
pub fn run(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else {
        return;
    };
    let part = |part: &Part| match part {
        Part::Usual(which) => USUAL[usize::from(*which) % USUAL.len()].to_owned(),
        Part::Text(text) => text.clone(),
        // A template may ask for as much memory as it likes, and is rendered in a process that may
        // not: large numbers would find that again and again.
        Part::Number(number) => (number % 300).to_string(),
    };
    let messages = input.messages.iter().take(6);
    let conversation = Conversation {
        template: input.parts.iter().take(64).map(part).collect(),
        messages: messages
            .map(|(role, said)| Message::new(ROLES[usize::from(*role) % ROLES.len()], said))
            .collect(),
        bos: input.bos,
        eos: input.eos,
    };
    let once = render(&conversation);
    match &once {
        Ok(prompt) => assert!(prompt.len() <= MAX_PROMPT),
        Err(TemplateError::Limit(why) | TemplateError::Invalid(why)) => {
            assert!(!why.contains('\u{1b}'), "a terminal would obey {why:?}");
        }
    }
    assert_eq!(
        once,
        render(&conversation),
        "another prompt the second time"
    );
}

/// None: the parts are what a search begins with.
pub fn seeds() -> Vec<Vec<u8>> {
    // Every part once, as the number that stands for it.
    vec![(0..=255).collect()]
}
