//! A receipt as an in-toto Statement, and signed in a DSSE envelope: who vouches for it.
//!
//! The seal of a receipt has no key, so anybody can make it. A signature has one; it says whose
//! word a receipt is, and no more than the word.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Receipt;
use crate::file::provenance::sha256;

/// What a Statement says it is.
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// What its predicate says it is.
const PREDICATE: &str = "urn:bitnet-harness:crossval-receipt:v2";
/// What an envelope says its payload is.
const PAYLOAD: &str = "application/vnd.in-toto+json";

/// A receipt, about the models that its cases ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
    predicate: Value,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject {
    name: String,
    digest: Digest,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Digest {
    sha256: String,
}

/// A Statement with signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Envelope {
    payload_type: String,
    payload: String,
    signatures: Vec<Signature>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    keyid: String,
    sig: String,
}

impl Statement {
    /// About the models of a receipt, each once.
    pub fn of(receipt: &Receipt) -> Self {
        Statement {
            kind: STATEMENT.into(),
            subject: subjects(receipt),
            predicate_type: PREDICATE.into(),
            predicate: serde_json::to_value(receipt).expect("a receipt is plain data"),
        }
    }

    /// As written to a file.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("string keys and finite floats only") + "\n"
    }

    /// The receipt it holds, if it says what it is and is about what the receipt is about.
    fn receipt(&self) -> Result<Receipt, String> {
        for (said, expected) in [(&self.kind, STATEMENT), (&self.predicate_type, PREDICATE)] {
            if said != expected {
                return Err(format!("it is {said:?}, and {expected:?} is read here"));
            }
        }
        let receipt = Receipt::read(self.predicate.to_string().as_bytes())?;
        if self.subject != subjects(&receipt) {
            return Err("its subjects are not the models of its receipt".into());
        }
        Ok(receipt)
    }
}

fn subjects(receipt: &Receipt) -> Vec<Subject> {
    let models = receipt.cases.iter().map(|case| &case.claims.model);
    let mut subjects: Vec<Subject> = models
        .map(|model| Subject {
            name: model.file.clone(),
            digest: Digest {
                sha256: model.sha256.clone(),
            },
        })
        .collect();
    subjects.sort();
    subjects.dedup();
    subjects
}

impl Envelope {
    /// Signs a Statement with a key as [`new_key`] makes it.
    pub fn sign(statement: &Statement, key: &str) -> Result<Self, String> {
        let wrong = |_| "it is no ed25519 key as `harness receipt key` writes it".to_owned();
        let key = BASE64.decode(key.trim()).map_err(|_| wrong(()))?;
        let key = Ed25519KeyPair::from_pkcs8(&key).map_err(|_| wrong(()))?;
        let payload = statement.to_json();
        let sig = key.sign(&signed(PAYLOAD, payload.as_bytes()));
        Ok(Envelope {
            payload_type: PAYLOAD.into(),
            payload: BASE64.encode(payload),
            signatures: vec![Signature {
                keyid: sha256(key.public_key().as_ref()),
                sig: BASE64.encode(sig),
            }],
        })
    }

    /// Whether one of the signatures is that of this public key.
    pub fn is_signed_by(&self, public: &str) -> bool {
        let decoded = |text: &str| BASE64.decode(text.trim()).unwrap_or_default();
        let message = signed(&self.payload_type, &decoded(&self.payload));
        let public = UnparsedPublicKey::new(&ED25519, decoded(public));
        let mut signatures = self.signatures.iter();
        signatures.any(|signature| public.verify(&message, &decoded(&signature.sig)).is_ok())
    }

    /// As written to a file.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("strings only") + "\n"
    }
}

/// What is signed: DSSE's pre-authentication encoding, which tells the type of a payload apart from
/// the payload.
fn signed(kind: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// A new key: the secret one, and the public one.
pub fn new_key() -> Result<[String; 2], String> {
    let failed = |_| "the system gave no random numbers".to_owned();
    let secret = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(failed)?;
    let pair = Ed25519KeyPair::from_pkcs8(secret.as_ref()).expect("it was just made");
    let texts = [secret.as_ref(), pair.public_key().as_ref()];
    Ok(texts.map(|bytes| BASE64.encode(bytes) + "\n"))
}

/// A receipt as it lies in a file: bare, in a Statement, or in an envelope, which is handed out.
pub fn read(bytes: &[u8]) -> Result<(Receipt, Option<Envelope>), String> {
    let value: Value = serde_json::from_slice(bytes).unwrap_or(json!({}));
    if value.get("payloadType").is_some() {
        let envelope: Envelope = serde_json::from_value(value).map_err(|e| e.to_string())?;
        let payload = BASE64.decode(&envelope.payload);
        let payload = payload.map_err(|e| format!("its payload is no base64: {e}"))?;
        let statement: Statement = serde_json::from_slice(&payload).map_err(|e| e.to_string())?;
        return Ok((statement.receipt()?, Some(envelope)));
    }
    if value.get("_type").is_some() {
        let statement: Statement = serde_json::from_value(value).map_err(|e| e.to_string())?;
        return Ok((statement.receipt()?, None));
    }
    Ok((Receipt::read(bytes)?, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receipt::Circumstances;

    fn statement() -> Statement {
        let circumstances: Circumstances = serde_json::from_value(json!({
            "started_unix": 0, "seconds": 0.0, "threads": 1, "inputs": [], "changed_inputs": [],
            "machine": crate::file::provenance::Machine::here(),
        }))
        .expect("circumstances");
        Statement::of(&Receipt::assemble(0, Vec::new(), Vec::new(), circumstances))
    }

    #[test]
    fn what_is_signed_is_what_the_specification_signs() {
        let known = signed("http://example.com/HelloWorld", b"hello world");
        let expected = "DSSEv1 29 http://example.com/HelloWorld 11 hello world";
        assert_eq!(String::from_utf8_lossy(&known), expected);
    }

    #[test]
    fn a_signature_is_of_one_key_and_of_every_byte() {
        let [secret, public] = new_key().expect("random numbers");
        let [_, other] = new_key().expect("random numbers");
        let envelope = Envelope::sign(&statement(), &secret).expect("a key");
        assert!(envelope.is_signed_by(&public));
        assert!(!envelope.is_signed_by(&other));
        let (_, read) = read(envelope.to_json().as_bytes()).expect("what was written");
        assert_eq!(read.as_ref(), Some(&envelope));
        let mut forged = envelope.clone();
        let payload = statement()
            .to_json()
            .replace("\"seconds\": 0.0", "\"seconds\": 1.0");
        forged.payload = BASE64.encode(payload);
        assert!(!forged.is_signed_by(&public));
        let mut renamed = envelope.clone();
        renamed.payload_type = "text/plain".into();
        assert!(!renamed.is_signed_by(&public));
        assert!(Envelope::sign(&statement(), "no key").is_err());
    }

    #[test]
    fn a_statement_is_about_what_its_receipt_is_about() {
        let sound = statement();
        assert!(read(sound.to_json().as_bytes()).is_ok());
        let mut other = sound.clone();
        other.subject.push(Subject {
            name: "model.gguf".into(),
            digest: Digest {
                sha256: "0".repeat(64),
            },
        });
        let refused = read(other.to_json().as_bytes()).expect_err("another subject");
        assert!(refused.contains("its subjects"), "{refused}");
        let mut other = sound;
        other.predicate_type = "https://slsa.dev/provenance/v1".into();
        assert!(read(other.to_json().as_bytes()).is_err());
    }
}
