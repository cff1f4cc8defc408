//! Merges ownership evidence and keeps its grade.
