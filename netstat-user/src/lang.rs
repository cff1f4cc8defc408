//! English and German words, by locale.
