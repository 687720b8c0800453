//! Made by bindgen from `shim/bitnet_shim.h`; see `tests/bindings.rs`.
#![allow(missing_docs, non_camel_case_types, dead_code, clippy::all)]
#![allow(clippy::undocumented_unsafe_blocks, clippy::missing_safety_doc)]

pub const BITNET_SHIM_ABI: u32 = 3;
pub const BITNET_SHIM_OK: u32 = 0;
pub const BITNET_SHIM_INVALID: u32 = 1;
pub const BITNET_SHIM_UNSUPPORTED: u32 = 2;
pub const BITNET_SHIM_FAILED: u32 = 3;
pub const BITNET_SHIM_EXCEPTION: u32 = 4;
pub const BITNET_SHIM_TOO_SMALL: u32 = 5;
pub const BITNET_SHIM_STOPPED: u32 = 6;
pub const BITNET_SHIM_SKIP: u32 = 0;
pub const BITNET_SHIM_TAKE: u32 = 1;
pub const BITNET_SHIM_REPLACE: u32 = 2;
pub const BITNET_SHIM_STOP: u32 = 3;
pub const BITNET_SHIM_MAX_SOURCES: u32 = 10;
pub type bitnet_shim_status = i32;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct bitnet_shim_model {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct bitnet_shim_session {
    _unused: [u8; 0],
}
pub type bitnet_shim_log = ::std::option::Option<
    unsafe extern "C" fn(
        user: *mut ::std::os::raw::c_void,
        level: i32,
        text: *const ::std::os::raw::c_char,
    ),
>;
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct bitnet_shim_model_options {
    pub size: u32,
    pub vocab_only: u8,
    pub use_mmap: u8,
    pub check_tensors: u8,
    pub repack: u8,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of bitnet_shim_model_options",
    ][::std::mem::size_of::<bitnet_shim_model_options>() - 8usize];
    [
        "Alignment of bitnet_shim_model_options",
    ][::std::mem::align_of::<bitnet_shim_model_options>() - 4usize];
    [
        "Offset of field: bitnet_shim_model_options::size",
    ][::std::mem::offset_of!(bitnet_shim_model_options, size) - 0usize];
    [
        "Offset of field: bitnet_shim_model_options::vocab_only",
    ][::std::mem::offset_of!(bitnet_shim_model_options, vocab_only) - 4usize];
    [
        "Offset of field: bitnet_shim_model_options::use_mmap",
    ][::std::mem::offset_of!(bitnet_shim_model_options, use_mmap) - 5usize];
    [
        "Offset of field: bitnet_shim_model_options::check_tensors",
    ][::std::mem::offset_of!(bitnet_shim_model_options, check_tensors) - 6usize];
    [
        "Offset of field: bitnet_shim_model_options::repack",
    ][::std::mem::offset_of!(bitnet_shim_model_options, repack) - 7usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct bitnet_shim_model_facts {
    pub size: u32,
    pub n_vocab: i32,
    pub n_embd: i32,
    pub n_layer: i32,
    pub n_head: i32,
    pub n_ctx_train: i32,
    pub bos: i32,
    pub eos: i32,
    pub eot: i32,
    pub nl: i32,
    pub pad: i32,
    pub add_bos: i32,
    pub add_eos: i32,
    pub n_params: u64,
    pub n_bytes: u64,
    pub description: [::std::os::raw::c_char; 128usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of bitnet_shim_model_facts",
    ][::std::mem::size_of::<bitnet_shim_model_facts>() - 200usize];
    [
        "Alignment of bitnet_shim_model_facts",
    ][::std::mem::align_of::<bitnet_shim_model_facts>() - 8usize];
    [
        "Offset of field: bitnet_shim_model_facts::size",
    ][::std::mem::offset_of!(bitnet_shim_model_facts, size) - 0usize];
    [
        "Offset of field: bitnet_shim_model_facts::n_vocab",
    ][::std::mem::offset_of!(bitnet_shim_model_facts, n_vocab) - 4usize];
    [
        "Offset of field: bitnet_shim_model_facts::n_embd",
    ][::std::mem::offset_of!(bitnet_shim_model_facts, n_embd) - 8usize];
    [
        "Offset of field: bitnet_shim_model_facts::n_layer",
    ][::std::mem::offset_of!(bitnet_shim_model_facts, n_layer) - 12usize];
    [
        "Offset of field: bitnet_shim_model_facts::n_head",
    ][::std::mem::offset_of!(bitnet_shim_model_facts, n_head) - 16usize];
    [
        "Offset of field: bitnet_shim_model_facts::n_ctx_train",
    ][::std::mem::offset_of!(bitnet_shim_model_facts, n_ctx_train) - 20usize];
    [
        "Offset of field: bitnet_shim_model_facts::bos",
    ][::std::mem::offset_of!(bitnet_shim_model_facts, bos) - 24usize];
    [
        "Offset of field: bitnet_shim_model_facts::eos",
    ][::std::mem::offset_of!(bitnet_shim_model_facts, eos) - 28usize];
    [
        "Offset of field: bitnet_shim_model_facts::eot",
    ][::std::mem::offset_of!(bitnet_shim_model_facts, eot) - 32usize];
    [
        "Offset of field: bitnet_shim_model_facts::nl",
    ][::std::mem::offset_of!(bitnet_shim_model_facts, nl) - 36usize];
    [
        "Offset of field: bitnet_shim_model_facts::pad",
    ][::std::mem::offset_of!(bitnet_shim_model_facts, pad) - 40usize];
    [
        "Offset of field: bitnet_shim_model_facts::add_bos",
    ][::std::mem::offset_of!(bitnet_shim_model_facts, add_bos) - 44usize];
    [
        "Offset of field: bitnet_shim_model_facts::add_eos",
    ][::std::mem::offset_of!(bitnet_shim_model_facts, add_eos) - 48usize];
    [
        "Offset of field: bitnet_shim_model_facts::n_params",
    ][::std::mem::offset_of!(bitnet_shim_model_facts, n_params) - 56usize];
    [
        "Offset of field: bitnet_shim_model_facts::n_bytes",
    ][::std::mem::offset_of!(bitnet_shim_model_facts, n_bytes) - 64usize];
    [
        "Offset of field: bitnet_shim_model_facts::description",
    ][::std::mem::offset_of!(bitnet_shim_model_facts, description) - 72usize];
};
impl Default for bitnet_shim_model_facts {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        // SAFETY: the header has numbers and pointers only, for which zero is a value.
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct bitnet_shim_token_facts {
    pub size: u32,
    pub attributes: i32,
    pub score: f32,
    pub is_end_of_generation: i32,
    pub text: *const ::std::os::raw::c_char,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of bitnet_shim_token_facts",
    ][::std::mem::size_of::<bitnet_shim_token_facts>() - 24usize];
    [
        "Alignment of bitnet_shim_token_facts",
    ][::std::mem::align_of::<bitnet_shim_token_facts>() - 8usize];
    [
        "Offset of field: bitnet_shim_token_facts::size",
    ][::std::mem::offset_of!(bitnet_shim_token_facts, size) - 0usize];
    [
        "Offset of field: bitnet_shim_token_facts::attributes",
    ][::std::mem::offset_of!(bitnet_shim_token_facts, attributes) - 4usize];
    [
        "Offset of field: bitnet_shim_token_facts::score",
    ][::std::mem::offset_of!(bitnet_shim_token_facts, score) - 8usize];
    [
        "Offset of field: bitnet_shim_token_facts::is_end_of_generation",
    ][::std::mem::offset_of!(bitnet_shim_token_facts, is_end_of_generation) - 12usize];
    [
        "Offset of field: bitnet_shim_token_facts::text",
    ][::std::mem::offset_of!(bitnet_shim_token_facts, text) - 16usize];
};
impl Default for bitnet_shim_token_facts {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        // SAFETY: the header has numbers and pointers only, for which zero is a value.
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct bitnet_shim_source {
    pub name: *const ::std::os::raw::c_char,
    pub op: *const ::std::os::raw::c_char,
    pub node: i32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of bitnet_shim_source",
    ][::std::mem::size_of::<bitnet_shim_source>() - 24usize];
    [
        "Alignment of bitnet_shim_source",
    ][::std::mem::align_of::<bitnet_shim_source>() - 8usize];
    [
        "Offset of field: bitnet_shim_source::name",
    ][::std::mem::offset_of!(bitnet_shim_source, name) - 0usize];
    [
        "Offset of field: bitnet_shim_source::op",
    ][::std::mem::offset_of!(bitnet_shim_source, op) - 8usize];
    [
        "Offset of field: bitnet_shim_source::node",
    ][::std::mem::offset_of!(bitnet_shim_source, node) - 16usize];
};
impl Default for bitnet_shim_source {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        // SAFETY: the header has numbers and pointers only, for which zero is a value.
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct bitnet_shim_node {
    pub name: *const ::std::os::raw::c_char,
    pub op: *const ::std::os::raw::c_char,
    pub type_name: *const ::std::os::raw::c_char,
    pub type_: i32,
    pub index: u32,
    pub occurrence: u32,
    pub contiguous: u32,
    pub asking: u32,
    pub ne: [i64; 4usize],
    pub nb: [u64; 4usize],
    pub n_sources: u32,
    pub sources: [bitnet_shim_source; 10usize],
    pub values: *mut f32,
    pub n_values: usize,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of bitnet_shim_node"][::std::mem::size_of::<bitnet_shim_node>() - 376usize];
    [
        "Alignment of bitnet_shim_node",
    ][::std::mem::align_of::<bitnet_shim_node>() - 8usize];
    [
        "Offset of field: bitnet_shim_node::name",
    ][::std::mem::offset_of!(bitnet_shim_node, name) - 0usize];
    [
        "Offset of field: bitnet_shim_node::op",
    ][::std::mem::offset_of!(bitnet_shim_node, op) - 8usize];
    [
        "Offset of field: bitnet_shim_node::type_name",
    ][::std::mem::offset_of!(bitnet_shim_node, type_name) - 16usize];
    [
        "Offset of field: bitnet_shim_node::type_",
    ][::std::mem::offset_of!(bitnet_shim_node, type_) - 24usize];
    [
        "Offset of field: bitnet_shim_node::index",
    ][::std::mem::offset_of!(bitnet_shim_node, index) - 28usize];
    [
        "Offset of field: bitnet_shim_node::occurrence",
    ][::std::mem::offset_of!(bitnet_shim_node, occurrence) - 32usize];
    [
        "Offset of field: bitnet_shim_node::contiguous",
    ][::std::mem::offset_of!(bitnet_shim_node, contiguous) - 36usize];
    [
        "Offset of field: bitnet_shim_node::asking",
    ][::std::mem::offset_of!(bitnet_shim_node, asking) - 40usize];
    [
        "Offset of field: bitnet_shim_node::ne",
    ][::std::mem::offset_of!(bitnet_shim_node, ne) - 48usize];
    [
        "Offset of field: bitnet_shim_node::nb",
    ][::std::mem::offset_of!(bitnet_shim_node, nb) - 80usize];
    [
        "Offset of field: bitnet_shim_node::n_sources",
    ][::std::mem::offset_of!(bitnet_shim_node, n_sources) - 112usize];
    [
        "Offset of field: bitnet_shim_node::sources",
    ][::std::mem::offset_of!(bitnet_shim_node, sources) - 120usize];
    [
        "Offset of field: bitnet_shim_node::values",
    ][::std::mem::offset_of!(bitnet_shim_node, values) - 360usize];
    [
        "Offset of field: bitnet_shim_node::n_values",
    ][::std::mem::offset_of!(bitnet_shim_node, n_values) - 368usize];
};
impl Default for bitnet_shim_node {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        // SAFETY: the header has numbers and pointers only, for which zero is a value.
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
pub type bitnet_shim_on_node = ::std::option::Option<
    unsafe extern "C" fn(
        user: *mut ::std::os::raw::c_void,
        node: *const bitnet_shim_node,
    ) -> i32,
>;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct bitnet_shim_session_options {
    pub size: u32,
    pub n_ctx: u32,
    pub n_batch: u32,
    pub n_ubatch: u32,
    pub n_threads: u32,
    pub flash_attention: u32,
    pub on_node: bitnet_shim_on_node,
    pub user: *mut ::std::os::raw::c_void,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of bitnet_shim_session_options",
    ][::std::mem::size_of::<bitnet_shim_session_options>() - 40usize];
    [
        "Alignment of bitnet_shim_session_options",
    ][::std::mem::align_of::<bitnet_shim_session_options>() - 8usize];
    [
        "Offset of field: bitnet_shim_session_options::size",
    ][::std::mem::offset_of!(bitnet_shim_session_options, size) - 0usize];
    [
        "Offset of field: bitnet_shim_session_options::n_ctx",
    ][::std::mem::offset_of!(bitnet_shim_session_options, n_ctx) - 4usize];
    [
        "Offset of field: bitnet_shim_session_options::n_batch",
    ][::std::mem::offset_of!(bitnet_shim_session_options, n_batch) - 8usize];
    [
        "Offset of field: bitnet_shim_session_options::n_ubatch",
    ][::std::mem::offset_of!(bitnet_shim_session_options, n_ubatch) - 12usize];
    [
        "Offset of field: bitnet_shim_session_options::n_threads",
    ][::std::mem::offset_of!(bitnet_shim_session_options, n_threads) - 16usize];
    [
        "Offset of field: bitnet_shim_session_options::flash_attention",
    ][::std::mem::offset_of!(bitnet_shim_session_options, flash_attention) - 20usize];
    [
        "Offset of field: bitnet_shim_session_options::on_node",
    ][::std::mem::offset_of!(bitnet_shim_session_options, on_node) - 24usize];
    [
        "Offset of field: bitnet_shim_session_options::user",
    ][::std::mem::offset_of!(bitnet_shim_session_options, user) - 32usize];
};
impl Default for bitnet_shim_session_options {
    fn default() -> Self {
        let mut s = ::std::mem::MaybeUninit::<Self>::uninit();
        // SAFETY: the header has numbers and pointers only, for which zero is a value.
        unsafe {
            ::std::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct bitnet_shim_type_facts {
    pub size: u32,
    pub block_size: i32,
    pub block_bytes: u32,
    pub dot_partner: i32,
    pub can_quantize: u8,
    pub can_dequantize: u8,
    pub can_quantize_activation: u8,
    pub can_dot: u8,
    pub name: [::std::os::raw::c_char; 32usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of bitnet_shim_type_facts",
    ][::std::mem::size_of::<bitnet_shim_type_facts>() - 52usize];
    [
        "Alignment of bitnet_shim_type_facts",
    ][::std::mem::align_of::<bitnet_shim_type_facts>() - 4usize];
    [
        "Offset of field: bitnet_shim_type_facts::size",
    ][::std::mem::offset_of!(bitnet_shim_type_facts, size) - 0usize];
    [
        "Offset of field: bitnet_shim_type_facts::block_size",
    ][::std::mem::offset_of!(bitnet_shim_type_facts, block_size) - 4usize];
    [
        "Offset of field: bitnet_shim_type_facts::block_bytes",
    ][::std::mem::offset_of!(bitnet_shim_type_facts, block_bytes) - 8usize];
    [
        "Offset of field: bitnet_shim_type_facts::dot_partner",
    ][::std::mem::offset_of!(bitnet_shim_type_facts, dot_partner) - 12usize];
    [
        "Offset of field: bitnet_shim_type_facts::can_quantize",
    ][::std::mem::offset_of!(bitnet_shim_type_facts, can_quantize) - 16usize];
    [
        "Offset of field: bitnet_shim_type_facts::can_dequantize",
    ][::std::mem::offset_of!(bitnet_shim_type_facts, can_dequantize) - 17usize];
    [
        "Offset of field: bitnet_shim_type_facts::can_quantize_activation",
    ][::std::mem::offset_of!(bitnet_shim_type_facts, can_quantize_activation) - 18usize];
    [
        "Offset of field: bitnet_shim_type_facts::can_dot",
    ][::std::mem::offset_of!(bitnet_shim_type_facts, can_dot) - 19usize];
    [
        "Offset of field: bitnet_shim_type_facts::name",
    ][::std::mem::offset_of!(bitnet_shim_type_facts, name) - 20usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct bitnet_shim_requantize_options {
    pub size: u32,
    pub file_type: i32,
    pub n_threads: i32,
    pub allow_requantize: u8,
    pub pure_: u8,
    pub only_copy: u8,
    pub quantize_output: u8,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of bitnet_shim_requantize_options",
    ][::std::mem::size_of::<bitnet_shim_requantize_options>() - 16usize];
    [
        "Alignment of bitnet_shim_requantize_options",
    ][::std::mem::align_of::<bitnet_shim_requantize_options>() - 4usize];
    [
        "Offset of field: bitnet_shim_requantize_options::size",
    ][::std::mem::offset_of!(bitnet_shim_requantize_options, size) - 0usize];
    [
        "Offset of field: bitnet_shim_requantize_options::file_type",
    ][::std::mem::offset_of!(bitnet_shim_requantize_options, file_type) - 4usize];
    [
        "Offset of field: bitnet_shim_requantize_options::n_threads",
    ][::std::mem::offset_of!(bitnet_shim_requantize_options, n_threads) - 8usize];
    [
        "Offset of field: bitnet_shim_requantize_options::allow_requantize",
    ][::std::mem::offset_of!(bitnet_shim_requantize_options, allow_requantize)
        - 12usize];
    [
        "Offset of field: bitnet_shim_requantize_options::pure_",
    ][::std::mem::offset_of!(bitnet_shim_requantize_options, pure_) - 13usize];
    [
        "Offset of field: bitnet_shim_requantize_options::only_copy",
    ][::std::mem::offset_of!(bitnet_shim_requantize_options, only_copy) - 14usize];
    [
        "Offset of field: bitnet_shim_requantize_options::quantize_output",
    ][::std::mem::offset_of!(bitnet_shim_requantize_options, quantize_output) - 15usize];
};
pub struct Shim {
    __library: ::libloading::Library,
    pub bitnet_shim_abi: unsafe extern "C" fn() -> u32,
    pub bitnet_shim_last_message: unsafe extern "C" fn() -> *const ::std::os::raw::c_char,
    pub bitnet_shim_init: unsafe extern "C" fn(
        log: bitnet_shim_log,
        user: *mut ::std::os::raw::c_void,
    ) -> bitnet_shim_status,
    pub bitnet_shim_identity: unsafe extern "C" fn(
        text: *mut ::std::os::raw::c_char,
        capacity: usize,
        needed: *mut usize,
    ) -> bitnet_shim_status,
    pub bitnet_shim_model_open: unsafe extern "C" fn(
        path: *const ::std::os::raw::c_char,
        options: *const bitnet_shim_model_options,
        model: *mut *mut bitnet_shim_model,
    ) -> bitnet_shim_status,
    pub bitnet_shim_model_free: unsafe extern "C" fn(model: *mut bitnet_shim_model),
    pub bitnet_shim_model_describe: unsafe extern "C" fn(
        model: *const bitnet_shim_model,
        facts: *mut bitnet_shim_model_facts,
    ) -> bitnet_shim_status,
    pub bitnet_shim_token_describe: unsafe extern "C" fn(
        model: *const bitnet_shim_model,
        token: i32,
        facts: *mut bitnet_shim_token_facts,
    ) -> bitnet_shim_status,
    pub bitnet_shim_tokenize: unsafe extern "C" fn(
        model: *const bitnet_shim_model,
        text: *const ::std::os::raw::c_char,
        text_len: usize,
        add_special: i32,
        parse_special: i32,
        tokens: *mut i32,
        capacity: usize,
        needed: *mut usize,
    ) -> bitnet_shim_status,
    pub bitnet_shim_detokenize: unsafe extern "C" fn(
        model: *const bitnet_shim_model,
        tokens: *const i32,
        n_tokens: usize,
        show_special: i32,
        as_pieces: i32,
        text: *mut ::std::os::raw::c_char,
        capacity: usize,
        needed: *mut usize,
    ) -> bitnet_shim_status,
    pub bitnet_shim_session_open: unsafe extern "C" fn(
        model: *const bitnet_shim_model,
        options: *const bitnet_shim_session_options,
        session: *mut *mut bitnet_shim_session,
    ) -> bitnet_shim_status,
    pub bitnet_shim_session_free: unsafe extern "C" fn(
        session: *mut bitnet_shim_session,
    ),
    pub bitnet_shim_session_clear: unsafe extern "C" fn(
        session: *mut bitnet_shim_session,
    ) -> bitnet_shim_status,
    pub bitnet_shim_session_truncate: unsafe extern "C" fn(
        session: *mut bitnet_shim_session,
        length: i32,
    ) -> bitnet_shim_status,
    pub bitnet_shim_decode: unsafe extern "C" fn(
        session: *mut bitnet_shim_session,
        tokens: *const i32,
        n_tokens: usize,
        first: i32,
        wanted: *const u8,
        logits: *mut f32,
        n_logits: usize,
    ) -> bitnet_shim_status,
    pub bitnet_shim_type_describe: unsafe extern "C" fn(
        type_: i32,
        facts: *mut bitnet_shim_type_facts,
    ) -> bitnet_shim_status,
    pub bitnet_shim_quantize: unsafe extern "C" fn(
        type_: i32,
        values: *const f32,
        rows: usize,
        columns: usize,
        importance: *const f32,
        bytes: *mut u8,
        capacity: usize,
        needed: *mut usize,
    ) -> bitnet_shim_status,
    pub bitnet_shim_dequantize: unsafe extern "C" fn(
        type_: i32,
        bytes: *const u8,
        n_bytes: usize,
        values: *mut f32,
        n_values: usize,
    ) -> bitnet_shim_status,
    pub bitnet_shim_quantize_activation: unsafe extern "C" fn(
        type_: i32,
        values: *const f32,
        n_values: usize,
        bytes: *mut u8,
        capacity: usize,
        needed: *mut usize,
        scale: *mut f32,
        sum: *mut i32,
    ) -> bitnet_shim_status,
    pub bitnet_shim_dot: unsafe extern "C" fn(
        type_: i32,
        n_values: usize,
        weights: *const u8,
        n_weights: usize,
        row: *const u8,
        n_row: usize,
        result: *mut f32,
    ) -> bitnet_shim_status,
    pub bitnet_shim_requantize: unsafe extern "C" fn(
        from: *const ::std::os::raw::c_char,
        to: *const ::std::os::raw::c_char,
        options: *const bitnet_shim_requantize_options,
    ) -> bitnet_shim_status,
}
impl Shim {
    pub unsafe fn new<P>(path: P) -> Result<Self, ::libloading::Error>
    where
        P: AsRef<::std::ffi::OsStr>,
    {
        let library = unsafe { ::libloading::Library::new(path) }?;
        unsafe { Self::from_library(library) }
    }
    pub unsafe fn from_library<L>(library: L) -> Result<Self, ::libloading::Error>
    where
        L: Into<::libloading::Library>,
    {
        let __library = library.into();
        // SAFETY: this and all below: the caller vouches that the library has the header's signatures.
        let bitnet_shim_abi = unsafe { __library.get(b"bitnet_shim_abi\0") }
            .map(|sym| *sym)?;
        let bitnet_shim_last_message = unsafe {
            __library.get(b"bitnet_shim_last_message\0")
        }
            .map(|sym| *sym)?;
        let bitnet_shim_init = unsafe { __library.get(b"bitnet_shim_init\0") }
            .map(|sym| *sym)?;
        let bitnet_shim_identity = unsafe { __library.get(b"bitnet_shim_identity\0") }
            .map(|sym| *sym)?;
        let bitnet_shim_model_open = unsafe {
            __library.get(b"bitnet_shim_model_open\0")
        }
            .map(|sym| *sym)?;
        let bitnet_shim_model_free = unsafe {
            __library.get(b"bitnet_shim_model_free\0")
        }
            .map(|sym| *sym)?;
        let bitnet_shim_model_describe = unsafe {
            __library.get(b"bitnet_shim_model_describe\0")
        }
            .map(|sym| *sym)?;
        let bitnet_shim_token_describe = unsafe {
            __library.get(b"bitnet_shim_token_describe\0")
        }
            .map(|sym| *sym)?;
        let bitnet_shim_tokenize = unsafe { __library.get(b"bitnet_shim_tokenize\0") }
            .map(|sym| *sym)?;
        let bitnet_shim_detokenize = unsafe {
            __library.get(b"bitnet_shim_detokenize\0")
        }
            .map(|sym| *sym)?;
        let bitnet_shim_session_open = unsafe {
            __library.get(b"bitnet_shim_session_open\0")
        }
            .map(|sym| *sym)?;
        let bitnet_shim_session_free = unsafe {
            __library.get(b"bitnet_shim_session_free\0")
        }
            .map(|sym| *sym)?;
        let bitnet_shim_session_clear = unsafe {
            __library.get(b"bitnet_shim_session_clear\0")
        }
            .map(|sym| *sym)?;
        let bitnet_shim_session_truncate = unsafe {
            __library.get(b"bitnet_shim_session_truncate\0")
        }
            .map(|sym| *sym)?;
        let bitnet_shim_decode = unsafe { __library.get(b"bitnet_shim_decode\0") }
            .map(|sym| *sym)?;
        let bitnet_shim_type_describe = unsafe {
            __library.get(b"bitnet_shim_type_describe\0")
        }
            .map(|sym| *sym)?;
        let bitnet_shim_quantize = unsafe { __library.get(b"bitnet_shim_quantize\0") }
            .map(|sym| *sym)?;
        let bitnet_shim_dequantize = unsafe {
            __library.get(b"bitnet_shim_dequantize\0")
        }
            .map(|sym| *sym)?;
        let bitnet_shim_quantize_activation = unsafe {
            __library.get(b"bitnet_shim_quantize_activation\0")
        }
            .map(|sym| *sym)?;
        let bitnet_shim_dot = unsafe { __library.get(b"bitnet_shim_dot\0") }
            .map(|sym| *sym)?;
        let bitnet_shim_requantize = unsafe {
            __library.get(b"bitnet_shim_requantize\0")
        }
            .map(|sym| *sym)?;
        Ok(Shim {
            __library,
            bitnet_shim_abi,
            bitnet_shim_last_message,
            bitnet_shim_init,
            bitnet_shim_identity,
            bitnet_shim_model_open,
            bitnet_shim_model_free,
            bitnet_shim_model_describe,
            bitnet_shim_token_describe,
            bitnet_shim_tokenize,
            bitnet_shim_detokenize,
            bitnet_shim_session_open,
            bitnet_shim_session_free,
            bitnet_shim_session_clear,
            bitnet_shim_session_truncate,
            bitnet_shim_decode,
            bitnet_shim_type_describe,
            bitnet_shim_quantize,
            bitnet_shim_dequantize,
            bitnet_shim_quantize_activation,
            bitnet_shim_dot,
            bitnet_shim_requantize,
        })
    }
    pub unsafe fn bitnet_shim_abi(&self) -> u32 {
        unsafe { (self.bitnet_shim_abi)() }
    }
    pub unsafe fn bitnet_shim_last_message(&self) -> *const ::std::os::raw::c_char {
        unsafe { (self.bitnet_shim_last_message)() }
    }
    pub unsafe fn bitnet_shim_init(
        &self,
        log: bitnet_shim_log,
        user: *mut ::std::os::raw::c_void,
    ) -> bitnet_shim_status {
        unsafe { (self.bitnet_shim_init)(log, user) }
    }
    pub unsafe fn bitnet_shim_identity(
        &self,
        text: *mut ::std::os::raw::c_char,
        capacity: usize,
        needed: *mut usize,
    ) -> bitnet_shim_status {
        unsafe { (self.bitnet_shim_identity)(text, capacity, needed) }
    }
    pub unsafe fn bitnet_shim_model_open(
        &self,
        path: *const ::std::os::raw::c_char,
        options: *const bitnet_shim_model_options,
        model: *mut *mut bitnet_shim_model,
    ) -> bitnet_shim_status {
        unsafe { (self.bitnet_shim_model_open)(path, options, model) }
    }
    pub unsafe fn bitnet_shim_model_free(&self, model: *mut bitnet_shim_model) {
        unsafe { (self.bitnet_shim_model_free)(model) }
    }
    pub unsafe fn bitnet_shim_model_describe(
        &self,
        model: *const bitnet_shim_model,
        facts: *mut bitnet_shim_model_facts,
    ) -> bitnet_shim_status {
        unsafe { (self.bitnet_shim_model_describe)(model, facts) }
    }
    pub unsafe fn bitnet_shim_token_describe(
        &self,
        model: *const bitnet_shim_model,
        token: i32,
        facts: *mut bitnet_shim_token_facts,
    ) -> bitnet_shim_status {
        unsafe { (self.bitnet_shim_token_describe)(model, token, facts) }
    }
    pub unsafe fn bitnet_shim_tokenize(
        &self,
        model: *const bitnet_shim_model,
        text: *const ::std::os::raw::c_char,
        text_len: usize,
        add_special: i32,
        parse_special: i32,
        tokens: *mut i32,
        capacity: usize,
        needed: *mut usize,
    ) -> bitnet_shim_status {
        unsafe {
            (self
                .bitnet_shim_tokenize)(
                model,
                text,
                text_len,
                add_special,
                parse_special,
                tokens,
                capacity,
                needed,
            )
        }
    }
    pub unsafe fn bitnet_shim_detokenize(
        &self,
        model: *const bitnet_shim_model,
        tokens: *const i32,
        n_tokens: usize,
        show_special: i32,
        as_pieces: i32,
        text: *mut ::std::os::raw::c_char,
        capacity: usize,
        needed: *mut usize,
    ) -> bitnet_shim_status {
        unsafe {
            (self
                .bitnet_shim_detokenize)(
                model,
                tokens,
                n_tokens,
                show_special,
                as_pieces,
                text,
                capacity,
                needed,
            )
        }
    }
    pub unsafe fn bitnet_shim_session_open(
        &self,
        model: *const bitnet_shim_model,
        options: *const bitnet_shim_session_options,
        session: *mut *mut bitnet_shim_session,
    ) -> bitnet_shim_status {
        unsafe { (self.bitnet_shim_session_open)(model, options, session) }
    }
    pub unsafe fn bitnet_shim_session_free(&self, session: *mut bitnet_shim_session) {
        unsafe { (self.bitnet_shim_session_free)(session) }
    }
    pub unsafe fn bitnet_shim_session_clear(
        &self,
        session: *mut bitnet_shim_session,
    ) -> bitnet_shim_status {
        unsafe { (self.bitnet_shim_session_clear)(session) }
    }
    pub unsafe fn bitnet_shim_session_truncate(
        &self,
        session: *mut bitnet_shim_session,
        length: i32,
    ) -> bitnet_shim_status {
        unsafe { (self.bitnet_shim_session_truncate)(session, length) }
    }
    pub unsafe fn bitnet_shim_decode(
        &self,
        session: *mut bitnet_shim_session,
        tokens: *const i32,
        n_tokens: usize,
        first: i32,
        wanted: *const u8,
        logits: *mut f32,
        n_logits: usize,
    ) -> bitnet_shim_status {
        unsafe {
            (self
                .bitnet_shim_decode)(
                session,
                tokens,
                n_tokens,
                first,
                wanted,
                logits,
                n_logits,
            )
        }
    }
    pub unsafe fn bitnet_shim_type_describe(
        &self,
        type_: i32,
        facts: *mut bitnet_shim_type_facts,
    ) -> bitnet_shim_status {
        unsafe { (self.bitnet_shim_type_describe)(type_, facts) }
    }
    pub unsafe fn bitnet_shim_quantize(
        &self,
        type_: i32,
        values: *const f32,
        rows: usize,
        columns: usize,
        importance: *const f32,
        bytes: *mut u8,
        capacity: usize,
        needed: *mut usize,
    ) -> bitnet_shim_status {
        unsafe {
            (self
                .bitnet_shim_quantize)(
                type_,
                values,
                rows,
                columns,
                importance,
                bytes,
                capacity,
                needed,
            )
        }
    }
    pub unsafe fn bitnet_shim_dequantize(
        &self,
        type_: i32,
        bytes: *const u8,
        n_bytes: usize,
        values: *mut f32,
        n_values: usize,
    ) -> bitnet_shim_status {
        unsafe { (self.bitnet_shim_dequantize)(type_, bytes, n_bytes, values, n_values) }
    }
    pub unsafe fn bitnet_shim_quantize_activation(
        &self,
        type_: i32,
        values: *const f32,
        n_values: usize,
        bytes: *mut u8,
        capacity: usize,
        needed: *mut usize,
        scale: *mut f32,
        sum: *mut i32,
    ) -> bitnet_shim_status {
        unsafe {
            (self
                .bitnet_shim_quantize_activation)(
                type_,
                values,
                n_values,
                bytes,
                capacity,
                needed,
                scale,
                sum,
            )
        }
    }
    pub unsafe fn bitnet_shim_dot(
        &self,
        type_: i32,
        n_values: usize,
        weights: *const u8,
        n_weights: usize,
        row: *const u8,
        n_row: usize,
        result: *mut f32,
    ) -> bitnet_shim_status {
        unsafe {
            (self
                .bitnet_shim_dot)(
                type_,
                n_values,
                weights,
                n_weights,
                row,
                n_row,
                result,
            )
        }
    }
    pub unsafe fn bitnet_shim_requantize(
        &self,
        from: *const ::std::os::raw::c_char,
        to: *const ::std::os::raw::c_char,
        options: *const bitnet_shim_requantize_options,
    ) -> bitnet_shim_status {
        unsafe { (self.bitnet_shim_requantize)(from, to, options) }
    }
}
