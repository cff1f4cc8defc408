//! What was probably meant by a word that is not known.

use super::{FIELDS, Field, GROUPS, RowKinds, groups};

/// The word that was probably meant, where one is near enough: by letters that are missing, too many, wrong or exchanged, by what
/// it is short for, or by its beginning.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_ascii_lowercase();
    let mistakes = |known: &str| strsim::osa_distance(&word, known);
    let likeness = |known: &'k str| {
        let lower = known.to_ascii_lowercase();
        (mistakes(&lower), strsim::jaro_winkler(&word, &lower), known)
    };
    let few = |&(mistakes, ..): &(usize, f64, &str)| mistakes <= 1 + word.len() / 5;
    let alike = |&(mistakes, likeness, known): &(usize, f64, &str)| {
        likeness >= 0.78 && mistakes * 2 <= word.len().max(known.len())
    };
    let all: Vec<_> = known.into_iter().map(likeness).collect();
    let of_few = all.iter().filter(|near| few(near)).min_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let short = || all.iter().filter(|(.., known)| is_short_for(&word, known)).min_by_key(|(mistakes, ..)| *mistakes);
    let found =
        of_few.or_else(short).or_else(|| all.iter().filter(|near| alike(near)).max_by(|a, b| a.1.total_cmp(&b.1)));
    found.map(|&(.., known)| known)
}

/// Whether a word has the first letter of a known one, and its others in the same order: `cols` of `columns`.
fn is_short_for(word: &str, known: &str) -> bool {
    let mut letters = known.chars().map(|letter| letter.to_ascii_lowercase());
    word.len() > 2
        && known.get(..1).is_some_and(|first| word.starts_with(&first.to_ascii_lowercase()))
        && word.chars().all(|letter| letters.any(|other| other == letter))
}

/// The field of rows of these kinds, or the group of fields, that was probably meant by a name. Of a name in a group, the part behind its point
/// decides.
pub fn nearest_field(name: &str, rows: RowKinds) -> Option<&'static str> {
    let listed = || FIELDS.iter().filter(move |spec| spec.rows().meets(rows)).map(|spec| spec.name);
    match name.split_once('.') {
        Some((group, part)) if GROUPS.contains(&group) => {
            let inside = listed().filter_map(|known| known.split_once('.').filter(|(other, _)| *other == group));
            let part = nearest(part, inside.map(|(_, part)| part))?;
            listed().find(|known| known.split_once('.') == Some((group, part)))
        }
        _ => nearest(name, listed().chain(groups(rows))),
    }
}

/// What to add to a message about a name that is no field: the one that was probably meant, or those of its group.
pub fn instead_of(name: &str, rows: RowKinds) -> String {
    if let Some(near) = nearest_field(name, rows) {
        return format!("; did you mean `{near}'?");
    }
    let inside = |group: &&str| name.split_once('.').is_some_and(|(of, _)| of == *group);
    let Some(group) = GROUPS.into_iter().find(inside) else { return String::new() };
    let listed = super::group(group).filter(|field| field.spec().rows().meets(rows)).map(Field::name);
    let names = listed.collect::<Vec<_>>().join(" ");
    if names.is_empty() { names } else { format!("; of `{group}' there are {names}") }
}
