//! Reading some values of texts instead of the texts.

use std::num::NonZeroU32;

use super::super::codec::Decoded;
use super::column::Coding;
use super::sink::Source;
use super::table::{Table, Template};
use super::values::{Loaded, TemplatePlaces, Wanted, push_text};
use super::view::TemplateView;
use crate::projection::push_value;
use crate::{LineTemplate, Projection, Projector};

/// Values that are more than these are not listed.
const FEW_VALUES: usize = 8;

/// What is read of each template of a table.
#[derive(Debug, Default)]
pub(in crate::segment) struct Projections(Vec<Option<Projection>>);

/// A table of which the wanted values can be made.
#[derive(Debug)]
pub(in crate::segment) struct ProjectedTable<'a> {
    places: Option<&'a TemplatePlaces>,
    /// `None` for those that no wanted text has.
    templates: Vec<Option<Projected<'a>>>,
}

#[derive(Debug)]
struct Projected<'a> {
    /// `None` where texts are made whole.
    number: Option<NonZeroU32>,
    template: &'a Template,
    /// Of all slots, or of the wanted ones in the order wanted.
    slots: Vec<Loaded<'a>>,
}

impl Projections {
    /// Asks for every template of a table.
    pub(in crate::segment) fn of(
        table: &Table,
        projector: &mut dyn Projector,
        source: &impl Source,
    ) -> Self {
        let ask = |template| {
            let few_values = |slot| few_values(template, slot, source);
            let line = LineTemplate { view: TemplateView(template), few_values: &few_values };
            let projection = projector.project(&line)?;
            let has = |slot: &u32| (*slot as usize) < template.slots.len();
            Some(projection).filter(|projection| projection.slots.iter().all(has))
        };
        Self(table.templates.iter().map(ask).collect())
    }

    /// Whether every text is to be made whole.
    pub(in crate::segment) fn are_all_whole(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}

/// The values of a slot that takes so few that they are listed; `None` of others, and where they are
/// damaged, which is told when they are read.
fn few_values(template: &Template, slot: usize, source: &impl Source) -> Option<Vec<Vec<u8>>> {
    let Coding::Dictionary { count, values, .. } = &template.column(slot)?.coding else {
        return None;
    };
    let count = Some(*count as usize).filter(|count| *count <= FEW_VALUES)?;
    let loaded = values.load(count, Wanted::All, source).ok()?;
    let value = |place| {
        let mut value = Vec::new();
        loaded.push(place, &mut value);
        value
    };
    Some((0..count).map(value).collect())
}

impl Table {
    /// Reads what it takes to make the wanted values of the texts at some places, which ascend.
    pub(in crate::segment) fn load_projected<'a>(
        &'a self,
        texts: &[u32],
        projections: &Projections,
        source: &'a impl Source,
    ) -> Decoded<ProjectedTable<'a>> {
        let places = self.places(source)?;
        let ranks = match places {
            None => vec![texts.to_vec()],
            Some(places) => places.by_template(texts, self.templates.len()),
        };
        let mut templates = Vec::with_capacity(self.templates.len());
        for ((template, projection), ranks) in self.templates.iter().zip(&projections.0).zip(&ranks)
        {
            let load = || {
                let wanted = Wanted::These(ranks);
                let (number, slots) = match projection {
                    None => (None, template.load(wanted, source)?),
                    Some(projection) => {
                        let slots = projection.slots.iter().map(|slot| *slot as usize);
                        let columns = slots.filter_map(|slot| template.column(slot));
                        let count = template.count as usize;
                        let loaded = columns.map(|column| column.load(count, wanted, source));
                        (Some(projection.number), loaded.collect::<Decoded<_>>()?)
                    }
                };
                Ok(Projected { number, template, slots })
            };
            templates.push(if ranks.is_empty() { None } else { Some(load()?) });
        }
        Ok(ProjectedTable { places, templates })
    }
}

impl ProjectedTable<'_> {
    /// Appends the wanted values of a text and says by which projection; or the text, where it is wanted
    /// whole.
    pub(in crate::segment) fn push(&self, text: usize, out: &mut Vec<u8>) -> Option<NonZeroU32> {
        let (number, rank) = match self.places {
            None => (0, text),
            Some(places) => places.of(text)?,
        };
        let Projected { number, template, slots } = self.templates.get(number)?.as_ref()?;
        match number {
            None => push_text(template, slots, rank, out),
            Some(_) => slots.iter().for_each(|slot| push_value(out, |out| slot.push(rank, out))),
        }
        *number
    }
}
