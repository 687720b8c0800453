//! Shares of the runs that write rows instead of receipts, `power`, `shapes`, `kernels` and
//! `tokenizer`, put together: what one machine would have written, or why that cannot be said.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::case::shard::{Shard, Share};
use crate::exit::Failure;
use crate::file::provenance::Input;
use crate::judge::outcome::Outcome;
use crate::oracle::{kernels, power, shapes, tokenizer};
use crate::receipt::merge::{complete, foreign};

/// What one of the files holds: an object, or an array of them in which each is one of the tables.
type Object = Map<String, Value>;

/// How a command's JSON is made of rows.
struct Layout {
    command: &'static str,
    /// Where the tables lie; none where the file is the only one.
    tables: Option<&'static str>,
    /// The rows of a table, and the field that has the name by which they were dealt out.
    rows: [&'static str; 2],
    /// Fields that add up.
    sums: &'static [&'static str],
    /// Fields that follow from all rows.
    concluded: &'static [&'static str],
    /// Writes those, from the whole and from the tables of each share; says what it comes to.
    conclude: fn(&mut Value, &[&[Object]]) -> Result<Outcome, String>,
}

const LAYOUTS: [Layout; 4] = [
    Layout {
        command: "power",
        tables: None,
        rows: ["faults", "name"],
        sums: &["clean_runs", "alarms"],
        concluded: &[],
        conclude: |whole, _| power::of_shares(whole),
    },
    Layout {
        command: "tokenizer",
        tables: None,
        rows: ["rows", "model"],
        sums: &[],
        concluded: &["outcome"],
        conclude: |whole, _| tokenizer::row::of_shares(whole),
    },
    Layout {
        command: "kernels",
        tables: Some("references"),
        rows: ["kernels", "kernel"],
        sums: &["seconds"],
        concluded: &["outcome"],
        conclude: |whole, _| kernels::of_shares(whole),
    },
    Layout {
        command: "shapes",
        tables: Some(""),
        rows: ["trials", "number"],
        sums: &["count", "logits", "differing"],
        concluded: &["coverage", "smallest", "status"],
        conclude: shapes::of_shares,
    },
];

/// A share, taken apart.
struct Part {
    file: String,
    share: Share,
    /// What is beside the tables.
    head: Object,
    tables: Vec<Object>,
}

/// The JSON of files, as far as it is some.
pub fn read(paths: &[PathBuf]) -> Result<Vec<(String, Value)>, Failure> {
    let file = |path: &PathBuf| {
        let (_, bytes) = Input::read(path)?;
        let value = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok((path.display().to_string(), value))
    };
    paths.iter().map(file).collect()
}

/// The whole of these files, each with its name; none where they are no such shares at all.
pub fn merge(files: &[(String, Value)]) -> Option<Result<(Value, Outcome), String>> {
    let (_, first) = files.first()?;
    let layout = LAYOUTS.iter().find(|layout| layout.fits(first).is_some())?;
    Some(layout.merge(files))
}

impl Layout {
    /// The tables of a file that is one of these.
    fn fits(&self, file: &Value) -> Option<(Object, Vec<Object>)> {
        let (head, tables) = match self.tables {
            Some("") => (Object::new(), file.as_array()?.clone()),
            Some(field) => {
                let mut head = file.as_object()?.clone();
                let tables = head.remove(field)?;
                (head, tables.as_array()?.clone())
            }
            None => (Object::new(), vec![file.clone()]),
        };
        let objects = tables.iter().map(|table| table.as_object().cloned());
        let tables: Vec<Object> = objects.collect::<Option<_>>()?;
        let rows = |table: &Object| table.get(self.rows[0]).is_some_and(Value::is_array);
        (!tables.is_empty() && tables.iter().all(rows)).then_some((head, tables))
    }

    fn merge(&self, files: &[(String, Value)]) -> Result<(Value, Outcome), String> {
        let parts = files.iter().map(|(name, file)| self.part(name, file));
        let mut parts: Vec<Part> = parts.collect::<Result<_, _>>()?;
        parts.sort_by_key(|part| part.share.shard.index);
        let (first, rest) = parts.split_first().ok_or("there is nothing to merge")?;
        for other in rest {
            self.same_run(first, other)?;
        }
        let shards: Vec<(&str, Shard)> =
            parts.iter().map(|p| (&p.file[..], p.share.shard)).collect();
        complete(&shards)?;
        let tables = (0..first.tables.len()).map(|at| {
            let own: Vec<&Object> = parts.iter().map(|part| &part.tables[at]).collect();
            Value::Object(self.together(&own, &first.share.plan))
        });
        let mut tables: Vec<Value> = tables.collect();
        let mut whole = match self.tables {
            None => tables.remove(0),
            Some("") => Value::Array(tables),
            Some(field) => {
                let mut head = first.head.clone();
                head.insert(field.to_owned(), Value::Array(tables));
                Value::Object(head)
            }
        };
        let own: Vec<&[Object]> = parts.iter().map(|part| &part.tables[..]).collect();
        let outcome = (self.conclude)(&mut whole, &own)?;
        Ok((whole, outcome))
    }

    /// One share, whose rows are those that were dealt to it.
    fn part(&self, name: &str, file: &Value) -> Result<Part, String> {
        let command = self.command;
        let taken = self.fits(file);
        let (mut head, mut tables) =
            taken.ok_or_else(|| format!("{name} is not of `{command}`"))?;
        let mut said = head.remove("share");
        for table in &mut tables {
            said = table.remove("share").or(said);
        }
        let whole = || format!("{name} is the result of a whole run, not of a share (--shard K/N)");
        let share: Share = serde_json::from_value(said.ok_or_else(whole)?)
            .map_err(|e| format!("{name}: share: {e}"))?;
        let own = share.own(command);
        for table in &tables {
            let mut names: Vec<String> = rows(table, self.rows).map(|(name, _)| name).collect();
            names.dedup();
            if let Some(other) = names.iter().find(|row| !own.contains(row)) {
                return Err(format!(
                    "{name}: {other} is no row of share {}",
                    share.shard
                ));
            }
            // Trials that are missing are counted.
            let missing = own.iter().find(|own| !names.contains(own));
            if let Some(missing) = missing.filter(|_| command != "shapes") {
                return Err(format!("{name}: {missing} is missing: the run did not end"));
            }
        }
        let file = name.to_owned();
        Ok(Part {
            file,
            share,
            head,
            tables,
        })
    }

    /// What does not add up or follow from rows is the same in all shares.
    fn same_run(&self, first: &Part, other: &Part) -> Result<(), String> {
        let names = (&first.file[..], &other.file[..]);
        foreign(names, &first.share, &other.share)?;
        let known = |field: &str| {
            let other = self.sums.contains(&field) || self.concluded.contains(&field);
            other || field == self.rows[0]
        };
        let pairs = first.tables.iter().zip(&other.tables);
        let pairs = pairs.chain([(&first.head, &other.head)]);
        let fixed = |object: &Object| {
            let mut object = object.clone();
            object.retain(|field, _| !known(field));
            object
        };
        let differs = pairs.into_iter().find_map(|(one, other)| {
            let (one, other) = (fixed(one), fixed(other));
            let mut fields = one.keys().chain(other.keys());
            fields
                .find(|field| one.get(*field) != other.get(*field))
                .cloned()
        });
        let (one, other_file) = names;
        match differs {
            None if first.tables.len() == other.tables.len() => Ok(()),
            differs => {
                let field = differs.unwrap_or_else(|| "references".into());
                Err(format!(
                    "{other_file} is of another run than {one}: it has another `{field}`"
                ))
            }
        }
    }

    /// Tables put together, as far as that follows from each alone.
    fn together(&self, own: &[&Object], plan: &[String]) -> Object {
        let mut whole = own[0].clone();
        let all = own.iter().flat_map(|table| rows(table, self.rows));
        let mut all: Vec<(String, Value)> = all.map(|(name, row)| (name, row.clone())).collect();
        all.sort_by_key(|(name, _)| plan.iter().position(|planned| planned == name));
        let all: Vec<Value> = all.into_iter().map(|(_, row)| row).collect();
        whole.insert(self.rows[0].to_owned(), all.into());
        for field in self.sums {
            let numbers = own.iter().map(|table| &table[*field]);
            let whole_numbers: Option<u64> = numbers.clone().map(Value::as_u64).sum();
            let sum = match whole_numbers {
                Some(sum) => json!(sum),
                None => json!(numbers.map(|n| n.as_f64().unwrap_or(f64::NAN)).sum::<f64>()),
            };
            whole.insert((*field).to_owned(), sum);
        }
        whole
    }
}

/// The rows of a table with their names.
fn rows<'t>(
    table: &'t Object,
    [rows, name]: [&str; 2],
) -> impl Iterator<Item = (String, &'t Value)> {
    let rows = table[rows].as_array().into_iter().flatten();
    let name = name.to_owned();
    rows.map(move |row| {
        let name = &row[&name];
        (
            name.as_str()
                .map_or_else(|| name.to_string(), str::to_owned),
            row,
        )
    })
}
