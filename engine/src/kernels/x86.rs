//! What the instruction sets of x86-64 share: kernels written once for every width of vectors and
//! every instruction that multiplies bytes.
//!
//! Their functions are inlined into callers that enable the instructions. They are `unsafe`
//! because of that alone, where nothing else is said: the instructions must be there.

#![allow(unsafe_code)]

pub mod dot;
pub mod panel;
