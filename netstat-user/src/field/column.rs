//! Columns by their names: fields, and groups of them.

use super::{FIELDS, Field, GROUPS, RowKinds, group, nearest};

/// A column that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Column {
    /// One field.
    Field(Field),
    /// Every field of a group, in one cell.
    Group(&'static str),
}

/// A name that is no column.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ColumnError {
    /// There is no such field.
    #[error("there is no field `{name}'; --columns help lists them{}", .nearest.map_or_else(String::new, |near| format!("; did you mean `{near}'?")))]
    Unknown {
        /// What was written.
        name: String,
        /// The nearest name there is.
        nearest: Option<&'static str>,
    },
    /// There is one, and no row that is listed has it.
    #[error("no row that is listed has a field `{0}'; --columns help lists the fields and the rows that have them")]
    Elsewhere(&'static str),
    /// One of whole connections, where single events are listed.
    #[error("`{0}' is known of whole connections alone: give --life, too")]
    OfLives(&'static str),
    /// No name at all.
    #[error("a field is missing; write names separated by commas, --columns help lists them")]
    Empty,
}

impl Column {
    /// The name, as it stands in the heading.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Field(field) => field.name(),
            Self::Group(name) => name,
        }
    }

    /// The fields it is made of.
    pub fn fields(self) -> impl Iterator<Item = Field> {
        let (one, all) = match self {
            Self::Field(field) => (Some(field), None),
            Self::Group(name) => (None, Some(group(name))),
        };
        one.into_iter().chain(all.into_iter().flatten())
    }

    /// Reads one name; `rows` are the kinds of rows that are listed, of which one must have the field.
    ///
    /// # Errors
    /// A [`ColumnError`].
    pub fn parse(name: &str, rows: RowKinds) -> Result<Self, ColumnError> {
        let name = name.trim();
        let column = match (Field::named(name), GROUPS.into_iter().find(|group| *group == name)) {
            (Some(field), _) => Self::Field(field),
            (None, Some(group)) => Self::Group(group),
            (None, None) if name.is_empty() => return Err(ColumnError::Empty),
            (None, None) => {
                let known = FIELDS.iter().filter(|spec| spec.rows().meets(rows)).map(|spec| spec.name).chain(GROUPS);
                return Err(ColumnError::Unknown { name: name.to_owned(), nearest: nearest(name, known) });
            }
        };
        let there = column.fields().any(|field| field.spec().rows().meets(rows));
        let of_lives = rows == RowKinds::EVENT && column.fields().all(|field| field.spec().rows() == RowKinds::LIFE);
        match (there, of_lives) {
            (true, _) => Ok(column),
            (false, true) => Err(ColumnError::OfLives(column.name())),
            (false, false) => Err(ColumnError::Elsewhere(column.name())),
        }
    }

    /// Reads names separated by commas.
    ///
    /// # Errors
    /// A [`ColumnError`] for the first wrong one.
    pub fn parse_list(names: &str, rows: RowKinds) -> Result<Vec<Self>, ColumnError> {
        names.split(',').map(|name| Self::parse(name, rows)).collect()
    }
}
