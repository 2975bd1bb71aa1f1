//! The RPCs as clients see them: a real client and server over a real connection, on both databases.

mod keys;
mod make;
mod raw;
mod request;

mod accept_invitation;
mod access;
mod create_connection_invitation;
mod deadline;
mod decline_invitation;
mod descriptor;
mod etag;
mod input;
mod key_rotation;
mod lifecycle;
mod limits;
mod list_connection_invitations;
mod list_events;
mod list_invitations;
mod page_token;
mod request_id;
mod token;
mod update_created_connection;
