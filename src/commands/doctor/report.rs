//! The findings of the checks, for people and for programs.

use serde_json::{Value, json};

use crate::commands::Exit;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Ok,
    Warning,
    Problem(Exit),
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem(_) => "problem",
        }
    }
}

struct Finding {
    check: &'static str,
    level: Level,
    /// The finding, and the remedy of a problem.
    text: String,
}

/// The findings so far.
#[derive(Default)]
pub(super) struct Report(Vec<Finding>);

impl Report {
    pub(super) fn ok(&mut self, check: &'static str, text: impl Into<String>) {
        self.add(check, Level::Ok, text.into());
    }

    pub(super) fn warning(&mut self, check: &'static str, text: impl Into<String>) {
        self.add(check, Level::Warning, text.into());
    }

    pub(super) fn problem(&mut self, check: &'static str, exit: Exit, text: impl Into<String>) {
        self.add(check, Level::Problem(exit), text.into());
    }

    fn add(&mut self, check: &'static str, level: Level, text: String) {
        self.0.push(Finding { check, level, text });
    }

    /// Returns a line for each finding, and one that sums them up.
    pub(super) fn text(&self) -> String {
        let line = |finding: &Finding| format!("{:<8} {:<14} {}", finding.level.name(), finding.check, finding.text);
        let mut lines: Vec<String> = self.0.iter().map(line).collect();
        let (problems, warnings) = (self.count("problem"), self.count("warning"));
        let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        lines.push(format!("{}, {}", plural(problems, "problem"), plural(warnings, "warning")));
        lines.join("\n")
    }

    /// Returns all findings as one JSON object.
    pub(super) fn json(&self) -> String {
        let finding =
            |finding: &Finding| json!({ "check": finding.check, "level": finding.level.name(), "text": finding.text });
        let checks: Vec<Value> = self.0.iter().map(finding).collect();
        let object = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "exit_code": self.exit().code(),
            "problems": self.count("problem"),
            "warnings": self.count("warning"),
            "checks": checks,
        });
        object.to_string()
    }

    /// Returns the exit code of the problem that has to be solved first: the configuration, then what cannot be reached, then the rest.
    pub(super) fn exit(&self) -> Exit {
        let found = |wanted: Exit| self.0.iter().any(|finding| finding.level == Level::Problem(wanted));
        let order = [Exit::Configuration, Exit::Unreachable, Exit::Failed, Exit::Behind];
        order.into_iter().find(|exit| found(*exit)).unwrap_or(Exit::Success)
    }

    /// Returns whether a check has found a problem.
    pub(super) fn has_problem(&self, check: &str) -> bool {
        self.0.iter().any(|finding| finding.check == check && matches!(finding.level, Level::Problem(_)))
    }

    fn count(&self, level: &str) -> usize {
        self.0.iter().filter(|finding| finding.level.name() == level).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worst_problem_decides_the_exit_code_and_warnings_do_not() {
        let mut report = Report::default();
        report.ok("schema", "is up to date");
        report.warning("encryption", "none");
        assert_eq!(report.exit(), Exit::Success);
        for (exit, wanted) in [
            (Exit::Behind, Exit::Behind),
            (Exit::Failed, Exit::Failed),
            (Exit::Unreachable, Exit::Unreachable),
            (Exit::Configuration, Exit::Configuration),
            (Exit::Failed, Exit::Configuration),
        ] {
            report.problem("x", exit, "y");
            assert_eq!(report.exit(), wanted);
        }
        assert!(report.text().ends_with("5 problems, 1 warning"), "{}", report.text());
        let json: Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!((&json["exit_code"], &json["checks"][1]["level"]), (&json!(3), &json!("warning")));
    }
}
