//! All of aya: load, attach plan, offsets from BTF, decode, ring reads.
