//! A context: feed tokens, take logits, watch the graph.

use std::any::Any;
use std::borrow::Cow;
use std::ffi::{CStr, c_char, c_void};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{NonNull, null_mut};

use crate::bindings::{
    self, bitnet_shim_model, bitnet_shim_node, bitnet_shim_session, bitnet_shim_session_options,
};
use crate::convert::{as_i32, as_tokens};
use crate::error::Error;
use crate::facts::{SessionOptions, Wanted};
use crate::handle::Handle;
use crate::node::{Node, Observe, Source, Step};

/// A context of a model's, for one thread.
pub struct Session<'m> {
    /// Before `watch`, which it knows: fields are dropped in this order.
    handle: Handle<bitnet_shim_session>,
    watch: Option<Watch<'m>>,
    n_vocab: usize,
    model: PhantomData<&'m Handle<bitnet_shim_model>>,
}

/// What the callback's user pointer points to; on the heap so that the session may move.
struct Watch<'m>(NonNull<Watching<'m>>);

/// An observer, and the panic it may have raised.
struct Watching<'m> {
    observer: &'m mut dyn Observe,
    panic: Option<Box<dyn Any + Send>>,
}

impl<'m> Watch<'m> {
    fn by(observer: &'m mut dyn Observe) -> Self {
        let panic = None;
        Watch(NonNull::from(Box::leak(Box::new(Watching {
            observer,
            panic,
        }))))
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        // SAFETY: leaked by `by`, freed only here, after the context that knew it.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

impl<'m> Session<'m> {
    pub(crate) fn open(
        model: &'m Handle<bitnet_shim_model>,
        n_vocab: usize,
        options: &SessionOptions,
        observer: Option<&'m mut dyn Observe>,
    ) -> Result<Self, Error> {
        let watch = observer.map(Watch::by);
        let options = bitnet_shim_session_options {
            size: size_of::<bitnet_shim_session_options>() as u32,
            n_ctx: options.context,
            n_batch: options.batch,
            n_ubatch: options.ubatch,
            n_threads: options.threads,
            flash_attention: options.flash_attention.into(),
            on_node: watch
                .as_ref()
                .map(|_| on_node as unsafe extern "C" fn(_, _) -> _),
            user: watch
                .as_ref()
                .map_or(null_mut(), |watch| watch.0.as_ptr().cast()),
        };
        let handle = Handle::open(model.loaded(), "session", |shim, session| {
            // SAFETY: the model is live and outlives the session by its lifetime; options and
            // output live through the call; `user` lives longer than the handle.
            unsafe { shim.bitnet_shim_session_open(model.as_ptr(), &raw const options, session) }
        })?;
        Ok(Session {
            handle,
            watch,
            n_vocab,
            model: PhantomData,
        })
    }

    /// Feeds tokens at positions `first`, `first + 1`, … and hands out the wanted rows of logits,
    /// one after another, each as long as the vocabulary.
    pub fn decode(
        &mut self,
        tokens: &[u32],
        first: usize,
        wanted: Wanted<'_>,
    ) -> Result<Vec<f32>, Error> {
        let ids = as_tokens("decode", tokens)?;
        let first = as_i32("decode", first)?;
        let flags = wanted.flags(ids.len());
        let rows = flags.iter().filter(|&&flag| flag != 0).count();
        let mut logits = vec![0_f32; rows * self.n_vocab];
        let done = self.handle.call("decode", |shim, session| {
            // SAFETY: the session is live and borrowed alone; tokens and flags are both as long
            // as the tokens, the logits as long as said.
            unsafe {
                shim.bitnet_shim_decode(
                    session,
                    ids.as_ptr(),
                    ids.len(),
                    first,
                    flags.as_ptr(),
                    logits.as_mut_ptr(),
                    logits.len(),
                )
            }
        });
        self.resume_panic();
        done.map(|()| logits)
    }

    /// Forgets every position.
    pub fn clear(&mut self) -> Result<(), Error> {
        self.handle.call("clear", |shim, session| {
            // SAFETY: the session is live and borrowed alone.
            unsafe { shim.bitnet_shim_session_clear(session) }
        })
    }

    /// Forgets the positions from `length` on.
    pub fn truncate(&mut self, length: usize) -> Result<(), Error> {
        let length = as_i32("truncate", length)?;
        self.handle.call("truncate", |shim, session| {
            // SAFETY: the session is live and borrowed alone.
            unsafe { shim.bitnet_shim_session_truncate(session, length) }
        })
    }

    /// Raises again, on this side of the C++ frames, what an observer raised on the other.
    fn resume_panic(&mut self) {
        let Some(watch) = &mut self.watch else { return };
        // SAFETY: alive as long as `watch`; the callback, its only other user, runs only inside
        // `decode`, which has returned.
        if let Some(panic) = unsafe { watch.0.as_mut() }.panic.take() {
            resume_unwind(panic);
        }
    }
}

impl std::fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("observed", &self.watch.is_some())
            .finish_non_exhaustive()
    }
}

/// The node callback. No panic leaves it: one is kept, and the graph is stopped.
///
/// # Safety
///
/// `user` is the `Watching` of a live session, `node` is what the header says.
unsafe extern "C" fn on_node(user: *mut c_void, node: *const bitnet_shim_node) -> i32 {
    // SAFETY: `open` gave this pointer; during `decode` nobody else touches it.
    let watch = unsafe { &mut *user.cast::<Watching<'_>>() };
    // SAFETY: the header promises a node that lives until the return, and nobody writes to it.
    let raw = unsafe { &*node };
    let seen = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: every string in the node is a C string or null, alive until the return.
        let node = unsafe { describe(raw) };
        if raw.asking != 0 {
            let wanted = watch.observer.wants(&node);
            return if wanted {
                bindings::BITNET_SHIM_TAKE
            } else {
                bindings::BITNET_SHIM_SKIP
            };
        }
        let values: &mut [f32] = if raw.values.is_null() {
            &mut []
        } else {
            // SAFETY: `values` points to `n_values` floats that are the callback's to change
            // until it returns.
            unsafe { std::slice::from_raw_parts_mut(raw.values, raw.n_values) }
        };
        match watch.observer.sees(&node, values) {
            Step::Continue => bindings::BITNET_SHIM_TAKE,
            Step::Replace => bindings::BITNET_SHIM_REPLACE,
            Step::Stop => bindings::BITNET_SHIM_STOP,
        }
    }));
    let answer = seen.unwrap_or_else(|panic| {
        watch.panic = Some(panic);
        bindings::BITNET_SHIM_STOP
    });
    answer as i32
}

/// # Safety
///
/// Every string of `raw` is null or a C string that lives for `'a`.
unsafe fn describe(raw: &bitnet_shim_node) -> Node<'_> {
    let text = |string: *const c_char| -> Cow<'_, str> {
        if string.is_null() {
            return Cow::Borrowed("");
        }
        // SAFETY: not null; a live C string by this function's contract.
        unsafe { CStr::from_ptr(string) }.to_string_lossy()
    };
    let n_sources = (raw.n_sources as usize).min(raw.sources.len());
    let source = |source: &bindings::bitnet_shim_source| Source {
        name: text(source.name),
        op: text(source.op),
        node: u32::try_from(source.node).ok(),
    };
    Node {
        name: text(raw.name),
        op: text(raw.op),
        type_name: text(raw.type_name),
        index: raw.index,
        occurrence: raw.occurrence,
        contiguous: raw.contiguous != 0,
        extents: raw.ne.map(|n| usize::try_from(n).unwrap_or(0)),
        strides: raw.nb.map(|n| usize::try_from(n).unwrap_or(0)),
        sources: raw.sources[..n_sources].iter().map(source).collect(),
    }
}
