//! The pages behind the links: requests as browsers, programs and attackers send them, and a real browser.

mod browser;
mod ends;
mod flow;
mod forms;
mod headers;
mod limits;
mod link;
pub(crate) mod person;
mod webdriver;
