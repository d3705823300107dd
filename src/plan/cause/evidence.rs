//! What the cluster was asked on the way to a cause, and what it answered.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::domain::{Object, ObjectRef, Resource};

/// What is asked of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// All objects of a kind, in one namespace or of a cluster-scoped kind.
    List(Resource, Option<String>),
    /// One object.
    Object(ObjectRef),
}

/// What the cluster has answered.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    answers: BTreeMap<Question, Option<Vec<Object>>>,
}

impl Evidence {
    /// Keeps an answer: the objects, of which there may be none; or that nothing can be known, as for want of a right.
    pub fn add(&mut self, question: Question, answer: Option<Vec<Object>>) {
        self.answers.insert(question, answer);
    }
}

/// One object, as far as it is known.
#[derive(Clone, Copy)]
pub(super) enum Found<'a> {
    There(&'a Object),
    Absent,
    /// It was not asked for yet, or may not be read.
    Unknown,
}

/// Reads evidence, and notes the questions that are open.
pub(super) struct Reader<'a> {
    evidence: &'a Evidence,
    open: RefCell<Vec<Question>>,
}

impl<'a> Reader<'a> {
    pub(super) const fn of(evidence: &'a Evidence) -> Self {
        Self { evidence, open: RefCell::new(Vec::new()) }
    }

    /// The open questions, in the order in which they came up.
    pub(super) fn into_open(self) -> Vec<Question> {
        self.open.into_inner()
    }

    /// The objects of a kind; none of them as long as they are not known.
    pub(super) fn list(&self, resource: &Resource, namespace: Option<&str>) -> &'a [Object] {
        self.known_list(resource, namespace).unwrap_or_default()
    }

    /// The objects of a kind, if they are known.
    pub(super) fn known_list(&self, resource: &Resource, namespace: Option<&str>) -> Option<&'a [Object]> {
        self.answer(Question::List(resource.clone(), namespace.map(str::to_owned)))
    }

    /// One object.
    pub(super) fn object(&self, reference: ObjectRef) -> Found<'a> {
        match self.answer(Question::Object(reference)) {
            None => Found::Unknown,
            Some([]) => Found::Absent,
            Some([object, ..]) => Found::There(object),
        }
    }

    fn answer(&self, question: Question) -> Option<&'a [Object]> {
        match self.evidence.answers.get(&question) {
            Some(answer) => answer.as_deref(),
            None => {
                let mut open = self.open.borrow_mut();
                if !open.contains(&question) {
                    open.push(question);
                }
                None
            }
        }
    }
}
