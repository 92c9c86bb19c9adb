//! Answers in Loki's JSON, to the byte.
