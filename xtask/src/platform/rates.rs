//! Settings that limit what one account or address may do.

/// All of them. Whoever acts for many clients from one address lifts them.
pub const RATES: [&str; 9] = [
    "ROOMLOG_RATE_COMMANDS",
    "ROOMLOG_RATE_COMMANDS_ADDRESS",
    "ROOMLOG_RATE_QUERIES",
    "ROOMLOG_RATE_QUERIES_ADDRESS",
    "ROOMLOG_RATE_LOG_INS_ADDRESS",
    "ROOMLOG_RATE_LOG_INS_NAME",
    "ROOMLOG_RATE_REGISTRATIONS_ADDRESS",
    "ROOMLOG_RATE_SOCKETS",
    "ROOMLOG_RATE_SOCKETS_ADDRESS",
];
