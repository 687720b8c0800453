//! JSON in which no object has two fields of one name: a map of fields would keep the last of them
//! and say nothing of the others.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// A value all of whose objects are so. Nothing but a second field makes it an error of data.
pub struct Unique(pub Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any).map(Unique)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Unique(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some((name, Unique(value))) = fields.next_entry::<String, Unique>()? {
            if values.contains_key(&name) {
                return Err(A::Error::custom(format!("two fields are called {name:?}")));
            }
            values.insert(name, value);
        }
        Ok(values.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_a_plain_value_reads_and_refuses_a_second_field_at_any_depth() {
        let text = r#"{"a": [1, -2, 3.5, "x", null, true, {"a": {}}], "b": {"a": 1e300}}"#;
        let Unique(value) = serde_json::from_str(text).expect("sound");
        assert_eq!(Ok(value), serde_json::from_str(text).map_err(|_| ()));
        for text in [
            r#"{"a": 1, "a": 1}"#,
            r#"[{"b": {"c": 1, "d": 2, "c": 3}}]"#,
        ] {
            let error = serde_json::from_str::<Unique>(text).err().expect("twice");
            assert!(error.is_data() && error.column() > 0, "{error}");
        }
    }
}
