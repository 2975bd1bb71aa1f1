//! Fields of stored JSON that this release does not know. An older release that changes a row of a newer one writes
//! them back as they were.

use std::collections::BTreeMap;

use serde_json::Value;

/// Stored fields that this release does not know. No decision depends on them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnknownFields(Option<Box<Difference>>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Difference {
    /// A field that the known object does not have.
    Missing(Value),
    /// A value that this release would write differently, such as a list of objects with further fields. It is kept as it is
    /// stored until this release changes it.
    Other { known: Value, stored: Value },
    /// Differences within an object that both have.
    Fields(BTreeMap<String, Difference>),
}

impl UnknownFields {
    /// Returns the fields of a stored object that this release would not write.
    pub fn between(stored: &Value, known: &Value) -> Self {
        Self(difference(stored, known).map(Box::new))
    }

    /// Adds the fields to an object that this release writes.
    pub fn add_to(&self, json: &mut Value) {
        if let Some(difference) = &self.0 {
            add(difference, json);
        }
    }
}

fn difference(stored: &Value, known: &Value) -> Option<Difference> {
    let (Value::Object(stored), Value::Object(known)) = (stored, known) else {
        return (stored != known).then(|| Difference::Other { known: known.clone(), stored: stored.clone() });
    };
    let fields: BTreeMap<String, Difference> = stored
        .iter()
        .filter_map(|(name, stored)| {
            let found = match known.get(name) {
                Some(known) => difference(stored, known)?,
                None => Difference::Missing(stored.clone()),
            };
            Some((name.clone(), found))
        })
        .collect();
    (!fields.is_empty()).then_some(Difference::Fields(fields))
}

fn add(difference: &Difference, json: &mut Value) {
    match difference {
        Difference::Missing(_) => {}
        Difference::Other { known, stored } if json == known => *json = stored.clone(),
        Difference::Other { .. } => {}
        Difference::Fields(fields) => {
            let Value::Object(json) = json else { return };
            for (name, difference) in fields {
                match (json.get_mut(name), difference) {
                    (None, Difference::Missing(stored)) => drop(json.insert(name.clone(), stored.clone())),
                    (None, _) => {}
                    (Some(known), difference) => add(difference, known),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_fields_survive_changes_of_the_known_ones() {
        let stored = json!({
            "roles": ["a"], "new": {"x": 1}, "inviter": {"user_id": "u", "title": "Dr"},
            "groups": [{"id": "g", "colour": "red"}], "lists": [{"id": "l", "colour": "red"}],
        });
        let known = json!({
            "roles": ["a"], "inviter": {"user_id": "u"}, "groups": [{"id": "g"}], "lists": [{"id": "l"}],
        });
        let unknown = UnknownFields::between(&stored, &known);
        let mut unchanged = known.clone();
        unknown.add_to(&mut unchanged);
        assert_eq!(unchanged, stored);

        let mut changed = json!({"roles": ["b"], "inviter": {"user_id": "v"}, "groups": [], "lists": [{"id": "l"}]});
        unknown.add_to(&mut changed);
        let wanted = json!({
            "roles": ["b"], "new": {"x": 1}, "inviter": {"user_id": "v", "title": "Dr"}, "groups": [],
            "lists": [{"id": "l", "colour": "red"}],
        });
        assert_eq!(changed, wanted);

        let mut without = json!({"roles": ["a"], "inviter": null, "new": "known by now"});
        unknown.add_to(&mut without);
        assert_eq!(without, json!({"roles": ["a"], "inviter": null, "new": "known by now"}));
        assert_eq!(UnknownFields::between(&known, &known), UnknownFields::default());
    }
}
