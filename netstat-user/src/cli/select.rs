//! The options that select rows and columns, the same for tables and events: `--where` and its short spellings, `--columns`,
//! `--sort`, `--limit`, `--count-by`.

use crate::field::{Column, ColumnError, Field, RowKinds, ValueKind};
use crate::filter::{self, Expr, Mistake, NameError, Predicate, Resolver, Spelling, WordError};
use clap::{Arg, ArgAction, Args};
use std::ffi::OsStr;

/// What is selected, and how it is shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// What holds of the rows that are wanted: `--where` and the short spellings together.
    pub expr: Option<Expr>,
    /// The text of `--where`, for messages about the names in it.
    pub expression: String,
    /// The columns, empty for all that the view has.
    pub columns: Vec<Column>,
    /// The order: keys, each with whether the greatest comes first. Empty for that of the view.
    pub sort: Vec<(SortKey, bool)>,
    /// How many rows, or lines of counts.
    pub limit: Option<u64>,
    /// The fields whose distinct values are counted, empty for none.
    pub count_by: Vec<Column>,
    /// The network namespaces of `--netns`, as written.
    pub netns: Vec<String>,
    /// The values of the short spellings, for messages about the names in them.
    spelled: Vec<(Spelling, Vec<String>)>,
    /// Why no row that is listed can match, where that is certain.
    pub never: Option<&'static str>,
}

/// By what rows, or lines of counts, are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortKey {
    /// The value of a field.
    Field(Field),
    /// How many there are of the values that are counted.
    Count,
}

impl SortKey {
    /// The field, if it is one.
    pub const fn field(self) -> Option<Field> {
        match self {
            Self::Field(field) => Some(field),
            Self::Count => None,
        }
    }
}

impl Selection {
    /// The fields that rows are ordered by.
    pub fn sorted_fields(&self) -> impl Iterator<Item = Field> {
        self.sort.iter().filter_map(|(key, _)| key.field())
    }

    /// Whether anything was asked for.
    pub fn is_any(&self) -> bool {
        *self != Self::default()
    }

    /// What is wrong with a name in what is selected, which the resolver does not know.
    pub fn wrong_name(&self, error: NameError, resolver: &mut impl Resolver) -> WrongName {
        // What a short spelling says has no place in the expression.
        if error.place.end > 0 {
            return match error.denied {
                true => WrongName::Denied(error),
                false => WrongName::Expression(error.within(&self.expression)),
            };
        }
        let mut is_wrong = |(spelling, values): &&(Spelling, Vec<String>)| {
            spelling.expr(values).is_ok_and(|expr| Predicate::new(&expr, resolver).is_err())
        };
        // What was not there a moment ago may be there now.
        let spelling = self.spelled.iter().find(|spelled| is_wrong(spelled)).or_else(|| self.spelled.first());
        match spelling {
            Some(&(option, _)) => WrongName::Spelled { option, error },
            None => WrongName::Expression(error.within(&self.expression)),
        }
    }
}

/// A name in what is selected that means nothing here.
#[derive(Debug, thiserror::Error)]
pub enum WrongName {
    /// In a short spelling.
    #[error("--{}: {error}{}", .option.option(), if error.denied { String::new() } else { format!(": {}", .option.names()) })]
    Spelled {
        /// The option.
        option: Spelling,
        /// What is wrong.
        #[source]
        error: NameError,
    },
    /// In the expression.
    #[error("--{WHERE}: {0}")]
    Expression(#[source] Mistake),
    /// In the expression, where it may not be looked up.
    #[error("--{WHERE}: {0}")]
    Denied(#[source] NameError),
    /// A network namespace that is never there.
    #[error("--netns: there is no network namespace `{0}': {names}", names = Spelling::Netns.names())]
    NoNamespace(String),
}

impl WrongName {
    /// Whether the name may well mean something, and this process may not look: no mistake of the command line.
    pub const fn is_denied(&self) -> bool {
        match self {
            Self::Spelled { error, .. } => error.denied,
            Self::Denied(_) => true,
            Self::Expression(_) | Self::NoNamespace(_) => false,
        }
    }
}

/// What is wrong with an option that selects.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// A value that is no text.
    #[error("--{0}: the value is not UTF-8")]
    NotText(String),
    /// Not an expression.
    #[error("--{WHERE}: {0}")]
    Expression(#[source] Mistake),
    /// A wrong word of a short spelling.
    #[error("--{option}: {error}")]
    Word {
        /// The option, without its dashes.
        option: &'static str,
        /// What is wrong.
        #[source]
        error: WordError,
    },
    /// A wrong field.
    #[error("--{option}: {error}")]
    Column {
        /// The option, without its dashes.
        option: &'static str,
        /// What is wrong.
        #[source]
        error: ColumnError,
    },
    /// Two options that both say what the columns are.
    #[error("--{COUNT_BY} has columns of its own: it cannot be given with --{COLUMNS}, leave one of them out")]
    TwoColumns,
    /// An order by what is not counted.
    #[error("--{SORT}: `{0}' is not one of the fields of --{COUNT_BY}, nor `{COUNT}'")]
    NotCounted(&'static str),
    /// An order by counts where nothing is counted.
    #[error("--{SORT}: `{COUNT}' orders what --{COUNT_BY} counts: give --{COUNT_BY} beside it")]
    NothingCounted,
    /// No number.
    #[error("--{LIMIT}: `{0}' is no number of rows: write a whole number from 0 on")]
    Limit(String),
}

/// The options as they were met, not yet read.
#[derive(Clone, Debug, Default)]
pub struct GivenOptions {
    expressions: Vec<String>,
    columns: Vec<String>,
    sort: Vec<String>,
    limit: Option<String>,
    count_by: Vec<String>,
    spelled: Vec<(Spelling, Vec<String>)>,
    first: Option<&'static str>,
}

/// Names of the options that are no short spellings.
const WHERE: &str = "where";
const COLUMNS: &str = "columns";
const SORT: &str = "sort";
const LIMIT: &str = "limit";
const COUNT_BY: &str = "count-by";
/// The column of --count-by that is no field.
const COUNT: &str = "count";
const NAMES: [&str; 5] = [WHERE, COLUMNS, SORT, LIMIT, COUNT_BY];

/// The heading that they stand under in `--help`.
pub const HEADING: &str = "Selecting";

/// The help of `--proto`, wherever that takes protocols alone.
pub const PROTO: &str = "Only these protocols: tcp is both families, tcp4 and tcp6 one";

/// The definitions, for every command line that is not `events`'.
pub fn options() -> Vec<Arg> {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::Append).value_name(value).help_heading(HEADING).help(help)
    };
    vec![
        option(
            WHERE,
            "EXPR",
            "Only the sockets for which EXPR holds: ss's filter language (state established, dst 10.0.0.0/8:443, sport \
             = :ssh; not binds first, then and, then or; parentheses) and FIELD OP VALUE for every field (= != < <= > >= ~ !~), like \
             'recv_q > 4K and owners.program = nginx'. All of it: /usr/share/doc/netstat-user/docs/selecting.md (docs/ of the source)",
        ),
        option(COLUMNS, "FIELD,...", "These fields instead of the table; `--columns help' lists all of them"),
        option(
            SORT,
            "FIELD,-FIELD,...",
            "Order by these fields, - for the greatest first; beside --count-by also by `count'",
        ),
        option(LIMIT, "N", "Only the first N"),
        option(COUNT_BY, "FIELD,...", "How many rows there are of each value, most first"),
        option("pid", "PID,...", "Only sockets that one of these processes holds"),
        option("comm", "NAME,...", "Only sockets that a process of this name holds; it may have * and ?"),
        option(
            "port",
            "PORT,...",
            "Only sockets with one of these ports at either end: numbers, 8000-8099, or services",
        ),
        option("lport", "PORT,...", "Only sockets with one of these ports at their own end"),
        option("rport", "PORT,...", "Only sockets with one of these ports at the other end"),
        option("state", "STATE,...", "Only these states, by netstat's names or ss's, or ss's groups"),
        option("netns", "self|NAME|INODE,...", "The sockets of these network namespaces, instead of one's own"),
        option("proto", "PROTO,...", PROTO),
    ]
}

/// ss's words for the port of an end, and our options.
const ENDS: [(&str, &str); 2] = [("sport", "lport"), ("dport", "rport")];

/// What to write in place of an option that rows of these kinds do not have, where others have it: conditions are expressions, and there is one form
/// for programs. `own` are the options that the command line has.
pub fn instead_of_option(name: &str, rows: RowKinds, own: &[&str]) -> Option<String> {
    // ss's words for the ends; by their letters they are near `--port`, which means either end.
    if let Some((_, end)) = ENDS.into_iter().find(|(word, end)| *word == name && own.contains(end)) {
        return Some(format!("did you mean `--{end}'?"));
    }
    if ["csv", "tsv"].contains(&name) {
        let columns = if own.contains(&COLUMNS) { ", --columns FIELD,... the fields that it names" } else { "" };
        return Some(format!("there is no {}: --json prints one object per line{columns}", name.to_uppercase()));
    }
    let field = Field::named(&name.replace('-', "_")).filter(|field| field.spec().rows().meets(rows))?;
    let value = match field.spec().kind {
        ValueKind::Text | ValueKind::Word(_) => "TEXT",
        ValueKind::Address => "ADDRESS",
        ValueKind::Time | ValueKind::Span(_) => "TIME",
        ValueKind::Number | ValueKind::Bytes | ValueKind::Port | ValueKind::User | ValueKind::Namespace => "N",
    };
    Some(format!("did you mean `--{WHERE} \"{} = {value}\"'?", field.name()))
}

/// The options that select events.
#[derive(Clone, Debug, Default, PartialEq, Args)]
pub struct EventArgs {
    /// Only events for which EXPR holds: ss's filter language (state established, dst 10.0.0.0/8:443) and FIELD OP VALUE for every field,
    /// like 'event = close and rx_bytes > 1M'; what the kernel programs can decide of it is decided
    /// there. All of it: /usr/share/doc/netstat-user/docs/selecting.md (docs/ of the source)
    #[arg(long = "where", value_name = "EXPR")]
    expressions: Vec<String>,

    /// These fields instead of the line, under a heading, with --json as the only keys; "--columns help" lists all fields. With --life and
    /// --failed they are those of the connection's close event
    #[arg(long, value_name = "FIELD,…")]
    columns: Vec<String>,

    /// How many events there are of each value, most first: at the end, and on a terminal every second
    #[arg(long, value_name = "FIELD,…")]
    count_by: Vec<String>,

    /// Order what --count-by counts by these fields, - for the greatest first; "count" is how many there are
    #[arg(long, value_name = "FIELD,-FIELD,…", allow_hyphen_values = true)]
    sort: Vec<String>,

    /// Only the first N values of --count-by
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    limit: Option<String>,

    /// Only these protocols: tcp udp udplite raw are both families, tcp4 and tcp6 one
    #[arg(long, value_name = "PROTO,…")]
    proto: Vec<String>,

    /// Only TCP transitions into these states (then neither open nor close events): netstat's names, ss's, or ss's groups
    #[arg(long, value_name = "STATE,…")]
    state: Vec<String>,

    /// Only sockets with one of these ports at either end: numbers, 8000-8099, or services
    #[arg(long, value_name = "PORT,…", allow_hyphen_values = true)]
    port: Vec<String>,

    /// Only sockets with one of these local ports
    #[arg(long, value_name = "PORT,…", allow_hyphen_values = true)]
    lport: Vec<String>,

    /// Only sockets with one of these remote ports
    #[arg(long, value_name = "PORT,…", allow_hyphen_values = true)]
    rport: Vec<String>,

    /// Only sockets that one of these processes owns
    #[arg(long, value_name = "PID,…")]
    pid: Vec<String>,

    /// Only sockets whose owner has this name; it may have * and ? (the kernel keeps 15 bytes of a name)
    #[arg(long, value_name = "NAME,…")]
    comm: Vec<String>,

    /// Only these network namespaces: "self", a name in /run/netns, or an inode number as in /proc/PID/ns/net
    #[arg(long, value_name = "self|NAME|INODE,…")]
    netns: Vec<String>,
}

impl EventArgs {
    /// The options as they were met.
    pub fn given(&self) -> GivenOptions {
        let spelled = [
            (Spelling::Proto, &self.proto),
            (Spelling::State, &self.state),
            (Spelling::Port, &self.port),
            (Spelling::Lport, &self.lport),
            (Spelling::Rport, &self.rport),
            (Spelling::Pid, &self.pid),
            (Spelling::Comm, &self.comm),
            (Spelling::Netns, &self.netns),
        ];
        let spelled = spelled.into_iter().filter(|(_, values)| !values.is_empty());
        GivenOptions {
            expressions: self.expressions.clone(),
            columns: self.columns.clone(),
            count_by: self.count_by.clone(),
            sort: self.sort.clone(),
            limit: self.limit.clone(),
            spelled: spelled.map(|(spelling, values)| (spelling, values.clone())).collect(),
            ..GivenOptions::default()
        }
    }

    /// Whether only transitions into some states are wanted.
    pub fn names_states(&self) -> bool {
        !self.state.is_empty()
    }

    /// Whether only the sockets of some processes are wanted.
    pub fn names_owners(&self) -> bool {
        !self.pid.is_empty() || !self.comm.is_empty()
    }
}

impl GivenOptions {
    /// Takes one of these options. False if it is none of them.
    ///
    /// # Errors
    /// A value that is no text.
    pub fn take(&mut self, id: &str, value: &OsStr) -> Result<bool, SelectError> {
        let spelling = Spelling::ALL.into_iter().find(|spelling| spelling.option() == id);
        let Some(name) = NAMES.into_iter().find(|name| *name == id).or(spelling.map(Spelling::option)) else {
            return Ok(false);
        };
        let value = value.to_str().ok_or_else(|| SelectError::NotText(id.to_owned()))?.to_owned();
        self.first.get_or_insert(name);
        match spelling {
            Some(spelling) => match self.spelled.iter_mut().find(|(known, _)| *known == spelling) {
                Some((_, values)) => values.push(value),
                None => self.spelled.push((spelling, vec![value])),
            },
            None => match id {
                WHERE => self.expressions.push(value),
                COLUMNS => self.columns.push(value),
                SORT => self.sort.push(value),
                LIMIT => self.limit = Some(value),
                _ => self.count_by.push(value),
            },
        }
        Ok(true)
    }

    /// The first of these options that was met, without its dashes.
    pub const fn first(&self) -> Option<&'static str> {
        self.first
    }

    /// Whether it is asked which columns there are.
    pub fn asks_for_help(&self) -> bool {
        self.columns.iter().any(|names| names == "help")
    }

    /// The values that a short spelling was given, in one list.
    pub fn spelled(&self, spelling: Spelling) -> &[String] {
        self.spelled.iter().find(|(known, _)| *known == spelling).map_or(&[], |(_, values)| values)
    }

    /// Refuses protocols that only tables list.
    ///
    /// # Errors
    /// The word, and those to write instead.
    pub fn only_internet(&self) -> Result<(), SelectError> {
        filter::only_internet(self.spelled(Spelling::Proto))
            .map_err(|error| SelectError::Word { option: Spelling::Proto.option(), error })
    }

    /// Reads the options, for a view that lists rows of these kinds.
    ///
    /// # Errors
    /// What is wrong with the first wrong one.
    pub fn read(self, rows: RowKinds) -> Result<Selection, SelectError> {
        let mut selection = Selection::default();
        for expression in &self.expressions {
            let expr = filter::parse(expression, rows).map_err(SelectError::Expression)?;
            selection.expr = Some(expr);
        }
        selection.expression = match &self.expressions[..] {
            [] => String::new(),
            [only] => only.clone(),
            several => {
                let joined = several.iter().map(|one| format!("({one})")).collect::<Vec<_>>().join(" and ");
                let expr = filter::parse(&joined, rows).map_err(SelectError::Expression)?;
                selection.expr = Some(expr);
                joined
            }
        };
        for (spelling, values) in &self.spelled {
            let spelled =
                spelling.expr(values).map_err(|error| SelectError::Word { option: spelling.option(), error })?;
            selection.expr = Expr::both(selection.expr, Some(spelled));
        }
        selection.spelled.clone_from(&self.spelled);
        selection.never = selection.expr.as_ref().and_then(|expr| expr.never_of(rows));
        let netns = self.spelled(Spelling::Netns).iter().flat_map(|value| value.split(','));
        selection.netns = netns.map(str::to_owned).collect();
        let columns = |option: &'static str, values: &[String]| match values {
            [] => Ok(Vec::new()),
            values => {
                Column::parse_list(&values.join(","), rows).map_err(|error| SelectError::Column { option, error })
            }
        };
        selection.columns = columns(COLUMNS, &self.columns)?;
        selection.count_by = columns(COUNT_BY, &self.count_by)?;
        if !selection.columns.is_empty() && !selection.count_by.is_empty() {
            return Err(SelectError::TwoColumns);
        }
        for name in self.sort.iter().flat_map(|names| names.split(',')) {
            let (name, descending) = name.trim().strip_prefix('-').map_or((name, false), |name| (name, true));
            if name == COUNT {
                if selection.count_by.is_empty() {
                    return Err(SelectError::NothingCounted);
                }
                selection.sort.push((SortKey::Count, descending));
                continue;
            }
            let column = Column::parse(name, rows).map_err(|error| SelectError::Column { option: SORT, error })?;
            let counted = selection.count_by.iter().flat_map(|column| column.fields()).collect::<Vec<_>>();
            for field in column.fields() {
                if !counted.is_empty() && !counted.contains(&field) {
                    return Err(SelectError::NotCounted(field.name()));
                }
                selection.sort.push((SortKey::Field(field), descending));
            }
        }
        selection.limit = match self.limit {
            None => None,
            Some(number) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(number.parse().unwrap_or(u64::MAX))
            }
            Some(other) => return Err(SelectError::Limit(other)),
        };
        Ok(selection)
    }
}
