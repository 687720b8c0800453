//! `harness bench`: how fast the engine is, beside references that were shown to compute the same.

mod products;

use std::ffi::OsString;
use std::time::Duration;

use engine::bytes::Storage;
use engine::kernels::Kernel;
use engine::numerics::Profile;

use self::products::Products;
use crate::bench::lane::{Known, Lane, Opponent, must_have_vectors};
use crate::bench::report::Report;
use crate::bench::{self, Plan};
use crate::command::finish::finish;
use crate::command::flags::{self, Html, Json, OneModel};
use crate::exit::{Exit, Failure};
use crate::file::reading::Reading;
use crate::io::destination::{Destination, FileRoles};
use crate::io::{output, progress};
use crate::reference::isolation::Limits;
use crate::reference::{self, Reference, launch_with};

const HELP: &str = "\
Examples:
  harness bench --model model.gguf --pp 64 --reference bitnet
  harness bench --model model.gguf --pp 32,64 --tg 8 --depth 0,16 --threads 1,2 --json bench.json
  harness bench --model model.gguf --pp 32 --tg 8 --html bench.html
  harness bench --model model.gguf --pp 0 --tg 8 --memory map,read
  harness bench --kernels --format i2_s-p128 --format q6_k --tokens 1,16

`harness fixtures big` writes a random model in the shapes of a published one, which is large enough
for numbers that mean something. A reference that cannot multiply the weights of --model takes a
file of its own behind `=`; ik_llama.cpp writes itself one.

A test is named as llama-bench names it: pp512 feeds 512 random tokens at once, tg128 feeds 128 one
by one, behind --depth positions that are not on the clock. Every build runs in a process of its own
that keeps the model loaded; rounds go forth and back through the builds, and the ratio is the
middle of those of neighbours, with the interval in which it lies 19 times out of 20. A build counts
only if its logits were compared with the engine's in this run: bit for bit where file and
arithmetic are the same, else by their error. One that differs ends the command with 1.
--kernels times single products instead, of one thread: each beside the bytes that memory streams
and the int8 products that registers allow, and only where its bits are the scalar kernel's.
Build with --release; anything else on the machine shows in the numbers.";

/// How fast the engine is, beside references that compute the same
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    model: OneModel,

    #[command(flatten)]
    products: Products,

    /// Beside this C++ reference: bitnet, bitnet-portable, ik, llama, or a directory; on a file of
    /// its own behind `=`; may be given several times
    #[arg(long, value_name = "NAME|DIR[=FILE]", value_parser = str::parse::<Opponent>)]
    reference: Vec<Opponent>,

    /// Lengths of prompts; 0 for none
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "512")]
    pp: Vec<usize>,

    /// Numbers of tokens fed one by one; 0 for none
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "32")]
    tg: Vec<usize>,

    /// Positions that are filled before
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "0")]
    depth: Vec<usize>,

    /// Threads of every build [default: one per core]
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = flags::positive)]
    threads: Vec<usize>,

    /// Rounds, each forth and back
    #[arg(long, value_name = "N", default_value = "3", value_parser = flags::positive)]
    rounds: usize,

    /// Order of the engine's float operations [default: that of the first reference that has one
    /// of the engine's]
    #[arg(long, value_name = "NAME", value_parser = flags::profile)]
    profile: Option<Profile>,

    /// Inner loops of the engine instead of the fastest this CPU has
    #[arg(long, value_name = "NAME", value_parser = flags::kernel)]
    kernel: Option<Kernel>,

    #[command(flatten)]
    reading: Reading,

    /// Where the engine has the weights: map, the file's own pages, or read, a copy in large pages,
    /// which takes longer to begin and less to read again; both is two lines
    #[arg(
        long,
        value_name = "HOW,…",
        value_delimiter = ',',
        default_value = "map", value_parser = storage
    )]
    memory: Vec<Storage>,

    /// Time the engine a second time where it is only asked for the likeliest token: most of the
    /// head is not computed, which is proved to make no difference
    #[arg(long)]
    likeliest: bool,

    /// Decides which tokens are fed
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,

    /// Seconds a build may take for one answer
    #[arg(long, value_name = "N", default_value = "600", value_parser = flags::seconds)]
    patience: Duration,

    #[command(flatten)]
    json: Json,

    #[command(flatten)]
    html: Html,
}

/// How the engine gets the weights into memory, by its name.
fn storage(name: &str) -> Result<Storage, String> {
    match name {
        "map" => Ok(Storage::Map),
        "read" => Ok(Storage::Read),
        _ => Err("there are map and read".into()),
    }
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let Some(model) = args.model.typed() else {
        if args.html.to.is_some() {
            let message = "--html shows how fast builds are: name a --model for them";
            return Err(Failure::input(message));
        }
        args.products.are_asked_for(&args.model)?;
        return args.products.run(args.seed, &args.json);
    };
    let own = args.reference.iter().filter_map(|one| one.model.as_deref());
    let read = own.map(|path| ("--reference", path));
    let roles = read.fold(
        FileRoles::default().reads("--model", model),
        |roles, (flag, path)| roles.reads(flag, path),
    );
    let roles = roles.writes("--json", args.json.to.as_ref())?;
    args.html.beside(roles)?;
    let known = Known::read(model)?;
    let plan = plan(&args, &known)?;
    if cfg!(debug_assertions) {
        output::tell("warning: the harness was built without --release; the engine was not");
    }
    let mut lanes = lanes(&args, &known)?;
    let steps = plan.tests().len() as u64 + 1;
    let bar = progress::bar(steps, "bench");
    // A pipe or a device would be written to again and again.
    let file = match &args.json.to {
        Some(Destination::Path(path)) => path.is_file() || !path.exists(),
        _ => false,
    };
    let report = bench::run(&plan, &mut lanes, &mut |so_far: &Report| {
        bar.inc(1);
        if file {
            // The last time is at the end, where a failure is told and hides nothing.
            let _ = args.json.write(so_far);
        }
    });
    bar.finish_and_clear();
    let text = if args.html.takes_stdout() {
        String::new()
    } else {
        report.render(output::width())
    };
    let ended = finish(report.outcome, &text, &report, &args.json)?;
    Ok(args.html.show(ended, &report))
}

fn plan(args: &Args, known: &Known) -> Result<Plan, Failure> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let some =
        |numbers: &[usize]| -> Vec<usize> { numbers.iter().copied().filter(|&n| n > 0).collect() };
    let plan = Plan {
        prompts: some(&args.pp),
        generated: some(&args.tg),
        depths: args.depth.clone(),
        threads: if args.threads.is_empty() {
            vec![cores()]
        } else {
            args.threads.clone()
        },
        rounds: args.rounds,
        seed: args.seed,
    };
    let tests = plan.tests();
    let Some(longest) = tests.iter().map(bench::Test::positions).max() else {
        return Err(Failure::input("--pp and --tg are both 0: nothing to time"));
    };
    if longest > known.context {
        let most = known.context;
        let message = format!("{longest} positions, and the model was made for {most}");
        return Err(Failure::input(message));
    }
    Ok(plan)
}

/// The engine, then the references.
fn lanes(args: &Args, known: &Known) -> Result<Vec<Lane>, Failure> {
    let limits = Limits {
        patience: args.patience,
        cpu_seconds: 24 * 3600,
        memory: 64 << 30,
        ..Limits::default()
    };
    let mut references = Vec::new();
    for opponent in &args.reference {
        let names = [opponent.name.clone()];
        let opened = reference::open_some(&names, limits)?;
        for one in opened {
            must_have_vectors(one.facts())?;
            references.push((one, opponent));
        }
    }
    let exact = |one: &Reference| Profile::from_name(&one.facts().profile());
    let theirs = references.iter().find_map(|(one, _)| exact(one));
    let profile = args.profile.or(theirs).unwrap_or_default();
    let kernel = args.kernel.unwrap_or_else(Kernel::best);
    let engine = |memory: &Storage| engine_lane(args, known, *memory, kernel, profile, limits);
    let mut lanes = args
        .memory
        .iter()
        .map(engine)
        .collect::<Result<Vec<_>, _>>()?;
    if args.likeliest {
        for memory in &args.memory {
            let mut lane = engine(memory)?;
            lane.name.push_str(" likeliest");
            lane.likeliest = true;
            lane.traffic = lane.traffic.screened();
            lanes.push(lane);
        }
    }
    for (reference, opponent) in references {
        let name = reference.facts().name.clone();
        let same_arithmetic = exact(&reference) == Some(profile);
        let unreadable = known.has_i2_s && !reference.hello().knows_i2_s;
        let writes_its_own = reference.facts().writes_iq2_bn();
        let lane = match &opponent.model {
            Some(path) => Lane::new(reference, name, kernel, &known.other(path)?),
            None if unreadable && writes_its_own => {
                let waiting = progress::spinner("writing the weights as IQ2_BN");
                let lane = Lane::new(reference, name, kernel, known).on_iq2_bn()?;
                waiting.finish_and_clear();
                lane
            }
            None if unreadable => {
                return Err(Failure::input(format!(
                    "{name} cannot multiply I2_S weights; give it a file of its own: \
                     --reference {name}=FILE (`harness fixtures big --weights tq2_0` makes one)"
                )));
            }
            None => {
                let mut lane = Lane::new(reference, name, kernel, known);
                lane.computes_same_bits = same_arithmetic;
                lane
            }
        };
        lanes.push(lane);
    }
    Ok(lanes)
}

/// The engine, in a process of its own like everybody else.
fn engine_lane(
    args: &Args,
    known: &Known,
    memory: Storage,
    kernel: Kernel,
    profile: Profile,
    limits: Limits,
) -> Result<Lane, Failure> {
    let mut words: Vec<OsString> = vec!["--engine".into()];
    for (flag, value) in [("--kernel", kernel.name()), ("--profile", profile.name())] {
        words.extend([flag.into(), value.into()]);
    }
    words.extend(args.reading.words());
    let mut name = format!("engine {}", kernel.name());
    if memory == Storage::Read {
        words.push("--read".into());
        name.push_str(" read");
    }
    let program = std::env::current_exe().map_err(Failure::environment)?;
    let reference = Reference::open("engine", limits, launch_with(program, words))?;
    Ok(Lane::new(reference, name, kernel, known))
}
