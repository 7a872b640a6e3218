//! Foundations of the crates that Python calls: mutexes, threads at the interpreter's end, texts of exceptions, injected
//! faults. Without any promise to others.

pub mod exception;
pub mod exit_parking;
pub mod fault;
pub mod lock;
