//! Columns by their names: fields, and groups of them.

use super::{Field, GROUPS, RowKinds, group, had_by, instead_of, nearest_field};

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
    #[error("there is no field `{name}'; --columns help lists them{instead}")]
    Unknown {
        /// What was written.
        name: String,
        /// What to write instead.
        instead: String,
    },
    /// How many there are is no field of a row.
    #[error("`count' is no field of a row: --count-by FIELD,... counts how many there are of each value")]
    Count,
    /// There is one, and no row that is listed has it.
    #[error("no row that is listed has a field `{name}': {}{}", had_by(*.rows), .near.map_or_else(String::new, |near| format!("; did you mean `{near}'?")))]
    Elsewhere {
        /// The field or group.
        name: &'static str,
        /// The rows that have it.
        rows: RowKinds,
        /// A field that those which are listed have, and which is almost called so.
        near: Option<&'static str>,
    },
    /// One of whole connections, where single events are listed.
    #[error("`{0}' is known of whole connections alone: give --life, too")]
    OfLives(&'static str),
    /// No name at all.
    #[error("a field is missing; write names separated by commas, --columns help lists them")]
    Empty,
}

impl ColumnError {
    /// That none of the rows that are listed has any of these fields, which are `name`.
    pub fn elsewhere(name: &'static str, fields: impl Iterator<Item = Field>, listed: RowKinds) -> Self {
        let rows = fields.fold(RowKinds::NONE, |rows, field| rows.or(field.spec().rows()));
        let near = nearest_field(name, listed).filter(|near| near.starts_with(name));
        Self::Elsewhere { name, rows, near }
    }
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
            (None, None) if name == "count" => return Err(ColumnError::Count),
            (None, None) => {
                return Err(ColumnError::Unknown { name: name.to_owned(), instead: instead_of(name, rows) });
            }
        };
        let there = column.fields().any(|field| field.spec().rows().meets(rows));
        let of_lives = rows == RowKinds::EVENT && column.fields().all(|field| field.spec().rows() == RowKinds::LIFE);
        match (there, of_lives) {
            (true, _) => Ok(column),
            (false, true) => Err(ColumnError::OfLives(column.name())),
            (false, false) => Err(ColumnError::elsewhere(column.name(), column.fields(), rows)),
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
