//! A loaded model: everything about a file that sessions share.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::bytes::{FileStamp, ModelBytes, Storage};
use crate::config::Config;
use crate::flavor::{Detection, Flavor};
use crate::gguf::dialect::Dialect;
use crate::gguf::{Gguf, Warning};
use crate::kernels::Kernel;
use crate::numerics::{Profile, arithmetic};
use crate::pool::{self, Pool};
use crate::refusal::Refusal;
use crate::tokenizer::Tokenizer;
use crate::transformer::likeliest::Screen;
use crate::weights::Weights;

/// A vocabulary in fewer bytes is read before the weights and not beside them.
const WORTH_A_THREAD: u64 = 1 << 20;

/// How a model is opened. The default reads into memory, detects the packing and takes the best
/// kernel.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// Read or map.
    pub storage: Storage,
    /// Overrides whose file it is, where several are possible.
    pub dialect: Option<Dialect>,
    /// Overrides the detected packing where several are possible.
    pub flavor: Option<Flavor>,
    /// Forces a kernel; `None` takes the best.
    pub kernel: Option<Kernel>,
}

/// A loaded model. Cloning shares it: a session keeps the one it was begun on.
#[derive(Clone)]
pub struct Model(Arc<Loaded>);

struct Loaded {
    gguf: Gguf,
    config: Config,
    tokenizer: Option<Tokenizer>,
    weights: Weights,
    kernel: Kernel,
    stamp: FileStamp,
    /// Made when it is asked for; none if its head is not of a kind that can be screened.
    screen: OnceLock<Option<Screen>>,
}

impl Model {
    /// Opens, validates and binds a model file.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self, Refusal> {
        let (bytes, stamp) = ModelBytes::open(path, options.storage)?;
        Self::bind(bytes, stamp, options)
    }

    /// The same for bytes that are no file, or are in memory already: the stamp tells their size
    /// and matches no file.
    pub fn from_bytes(
        bytes: impl Into<ModelBytes>,
        options: &OpenOptions,
    ) -> Result<Self, Refusal> {
        let bytes = bytes.into();
        let stamp = FileStamp {
            size: bytes.len() as u64,
            modified: None,
            changed: (0, 0),
            inode: (0, 0),
        };
        Self::bind(bytes, stamp, options)
    }

    /// The hyper-parameters.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The file it came from.
    pub fn gguf(&self) -> &Gguf {
        &self.0.gguf
    }

    /// The tokenizer, unless the file has no vocabulary.
    pub fn tokenizer(&self) -> Option<&Tokenizer> {
        self.0.tokenizer.as_ref()
    }

    /// Tensor name and what was decided about its packing, in file order, for every tensor in
    /// use whose packing had to be decided.
    pub fn detections(&self) -> &[(String, Detection)] {
        &self.0.weights.detections
    }

    /// The kernel in force.
    pub fn kernel(&self) -> Kernel {
        self.0.kernel
    }

    /// For every format of the weights in use, the kernel that multiplies it in a profile: format
    /// and kernel name, in the order of names.
    pub fn kernels(&self, profile: Profile) -> Vec<(&'static str, String)> {
        let arithmetic = arithmetic(profile, self.0.kernel);
        let matrices = self.0.weights.matrices();
        let named = matrices.map(|matrix| (matrix.encoding(), matrix.kernel(arithmetic)));
        let distinct: BTreeSet<_> = named.collect();
        distinct.into_iter().collect()
    }

    /// Identity of the file when it was opened; compare again after use.
    pub fn stamp(&self) -> FileStamp {
        self.0.stamp
    }

    /// What is odd about the file, its vocabulary and its tensors.
    pub fn warnings(&self) -> impl Iterator<Item = &Warning> {
        let vocabulary = self.0.tokenizer.iter().flat_map(Tokenizer::warnings);
        let of_file = self.0.gguf.warnings.iter();
        of_file.chain(vocabulary).chain(&self.0.weights.warnings)
    }

    pub(super) fn screen(&self) -> Option<&Screen> {
        self.0.screen.get()?.as_ref()
    }

    /// Makes the coarse copy of the head, if there is none yet; whether there is one now.
    pub(super) fn make_screen(&self, pool: &mut Pool) -> bool {
        let make = || Screen::of(self.0.weights.head(), self.0.kernel, pool);
        self.0.screen.get_or_init(make).is_some()
    }

    pub(super) fn weights(&self) -> &Weights {
        &self.0.weights
    }

    fn bind(bytes: ModelBytes, stamp: FileStamp, options: &OpenOptions) -> Result<Self, Refusal> {
        let gguf = Gguf::parse_as(bytes, options.dialect)?;
        gguf.spoken.decided()?;
        let config = Config::from_gguf(&gguf)?;
        let kernel = options.kernel.unwrap_or_else(Kernel::best);
        let tokenizer = || Tokenizer::from_metadata(&gguf.metadata);
        let weights = || Weights::bind(&gguf, &config, options.flavor, kernel);
        let (tokenizer, weights) = if gguf.data_start < WORTH_A_THREAD {
            (tokenizer()?, weights()?)
        } else {
            let (tokenizer, weights) = pool::both(tokenizer, weights);
            (tokenizer?, weights?)
        };
        Ok(Model(Arc::new(Loaded {
            gguf,
            config,
            tokenizer,
            weights,
            kernel,
            stamp,
            screen: OnceLock::new(),
        })))
    }
}
