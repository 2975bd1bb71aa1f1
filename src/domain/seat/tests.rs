//! Tests of seats.
