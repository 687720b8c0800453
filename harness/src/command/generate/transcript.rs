//! What `generate --receipt` writes: the text with all that made it.

use engine::{Model, Session, Token};

use super::{Args, Written};
use crate::exit::Failure;
use crate::file::provenance::{Input, Machine, file_name};
use crate::oracle::transcript::{Options, SCHEMA, Transcript};

impl Args {
    /// How the text is made.
    pub(super) fn options(&self, session: &Session) -> Options {
        let sampling = self.choosing.sampling();
        Options {
            profile: self.computing.profile.name().to_owned(),
            canonical: self.canonical,
            ubatch: session.ubatch(),
            context: session.context(),
            max_tokens: self.max_tokens,
            temperature: sampling.temperature,
            top_k: sampling.top_k,
            top_p: sampling.top_p,
            seed: sampling.seed,
        }
    }

    /// Writes the transcript, if one was asked for.
    pub(super) fn keep(
        &self,
        model: &Model,
        prompt: &[Token],
        options: Options,
        written: &Written,
    ) -> Result<(), Failure> {
        let Some(receipt) = &self.receipt else {
            return Ok(());
        };
        let transcript = self.transcript(model, prompt, options, written)?;
        receipt.write(transcript.to_json().as_bytes())
    }

    /// All of it, bound to the file that the model was.
    fn transcript(
        &self,
        model: &Model,
        prompt: &[Token],
        options: Options,
        written: &Written,
    ) -> Result<Transcript, Failure> {
        let path = self.model.path()?;
        let (input, _) = Input::open(path, self.storage())?;
        input.is_stamped(&model.stamp())?;
        let transcript = Transcript {
            schema_version: SCHEMA,
            model: file_name(path),
            model_sha256: input.sha256,
            prompt: self.prompt.clone().filter(|_| !self.chat),
            prompt_tokens: prompt.to_vec(),
            options,
            tokens: written.tokens.clone(),
            text: written.text.clone(),
            stop: written.stop,
            logits: written.logits.clone(),
            kernel: model.kernel().name().to_owned(),
            machine: Machine::here(),
            seal: String::new(),
        };
        Ok(transcript.sealed())
    }
}
