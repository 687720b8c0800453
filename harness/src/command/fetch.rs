//! `harness fetch`: a model from Hugging Face or a server like it.

use clap::ArgAction;
use serde_json::json;

use crate::command::finish::finish;
use crate::command::flags::{Json, switch};
use crate::exit::{Exit, Failure};
use crate::hub::{Cache, Client, Repository};
use crate::io::destination::FileRoles;
use crate::io::output;
use crate::judge::outcome::Outcome;

const EXAMPLE: &str = "\
Usage by example, which needs a network:
  harness fetch microsoft/bitnet-b1.58-2B-4T-bf16
  harness fetch microsoft/bitnet-b1.58-2B-4T-gguf --file ggml-model-i2_s.gguf
  harness convert \"$(harness fetch microsoft/bitnet-b1.58-2B-4T-bf16)\" -o 2b4t.gguf
  harness download-model --id microsoft/bitnet-b1.58-2B-4T-bf16 --offline

Without --file: a checkpoint with what describes it, or the only GGUF file. What is printed is the
folder, or the file where one was named. The cache is that of huggingface_hub: HF_HUB_CACHE, else
hub below HF_HOME, else ~/.cache/huggingface/hub. HF_ENDPOINT names another server, HF_TOKEN opens
what is not public, HF_HUB_OFFLINE=1 asks no server. A fetch that was interrupted is gone on with;
content with another hash than the server says is thrown away (exit 1).";

/// Fetch a model from Hugging Face, or from a server like it
#[derive(clap::Args)]
#[command(after_help = EXAMPLE, visible_alias = "download-model")]
pub struct Args {
    /// The repository
    #[arg(value_name = "OWNER/NAME", required_unless_present = "id")]
    repository: Option<String>,

    /// The repository, as a flag
    #[arg(long, value_name = "OWNER/NAME", conflicts_with = "repository")]
    id: Option<String>,

    /// A file of it; may be given several times
    #[arg(long, value_name = "PATH", action = ArgAction::Append)]
    file: Vec<String>,

    /// A branch, a tag or a commit
    #[arg(long, value_name = "REVISION", default_value = "main")]
    revision: String,

    /// Ask no server: what an earlier fetch left, or nothing
    #[arg(
        long,
        env = "HF_HUB_OFFLINE",
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        value_name = "BOOL",
        hide_default_value = true,
        value_parser = switch
    )]
    offline: bool,

    #[command(flatten)]
    json: Json,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    FileRoles::default().writes("--json", args.json.to.as_ref())?;
    let id = args.repository.or(args.id).expect("one is required");
    let repository = Repository::new(&id, &args.revision)?;
    let cache = Cache::from_environment()?;
    let fetched = if args.offline {
        repository.kept(&cache, &args.file)?
    } else {
        repository.fetch(&Client::from_environment(), &cache, &args.file)?
    };
    let path = match &args.file[..] {
        [one] => fetched.folder.join(one),
        _ => fetched.folder.clone(),
    };
    let (count, received) = (fetched.files.len(), fetched.received);
    output::tell(format!(
        "{count} files, {received} bytes came over the network"
    ));
    let result = json!({
        "repository": id,
        "revision": args.revision,
        "commit": fetched.commit,
        "folder": fetched.folder.display().to_string(),
        "files": fetched.files,
        "received": received,
    });
    finish(
        Outcome::Ok,
        &format!("{}\n", path.display()),
        &result,
        &args.json,
    )
}
