//! The engine from outside: packings, kernels, orders of operations, whole models, tokenizers.

mod arithmetic;
mod detection;
mod export;
mod kernels;
mod libm;
mod model;
mod story;
mod tokenizer_suite;
