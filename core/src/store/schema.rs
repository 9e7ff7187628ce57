//! The tables, as diesel knows them. The same for both databases: texts, 64-bit
//! numbers, booleans and bytes only, so that a row means the same in each.

diesel::table! {
    resellers (id) {
        id -> Text,
        name -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    businesses (id) {
        id -> Text,
        reseller_id -> Text,
        name -> Text,
        verified_at -> Nullable<BigInt>,
        app_secret -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    accounts (id) {
        id -> BigInt,
        business_id -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    senders (id) {
        id -> BigInt,
        account_id -> BigInt,
        business_id -> Text,
        phone -> Text,
        display_name -> Text,
        adapter -> Text,
        connection -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    api_keys (id) {
        id -> Text,
        business_id -> Text,
        name -> Text,
        prefix -> Text,
        hash -> Text,
        created_at -> BigInt,
        revoked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    templates (id) {
        id -> BigInt,
        account_id -> BigInt,
        business_id -> Text,
        name -> Text,
        language -> Text,
        category -> Text,
        status -> Text,
        components -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    messages (id) {
        id -> Text,
        business_id -> Text,
        sender_id -> BigInt,
        recipient -> Text,
        kind -> Text,
        body -> Text,
        rendered -> Text,
        callback_data -> Nullable<Text>,
        state -> SmallInt,
        attempt -> Integer,
        tries -> Integer,
        ambiguous -> Bool,
        receipts -> SmallInt,
        owner -> Nullable<Text>,
        due_at -> Nullable<BigInt>,
        leased_until -> Nullable<BigInt>,
        upstream_id -> Nullable<Text>,
        error -> Nullable<Text>,
        accepted_at -> BigInt,
        attempted_at -> Nullable<BigInt>,
        updated_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    message_events (id) {
        id -> BigInt,
        message_id -> Text,
        at -> BigInt,
        name -> Text,
        attempt -> Nullable<Integer>,
        adapter -> Nullable<Text>,
        detail -> Nullable<Text>,
    }
}

diesel::table! {
    idempotency_keys (scope, key) {
        scope -> Text,
        key -> Text,
        fingerprint -> Text,
        message_id -> Text,
        expires_at -> BigInt,
    }
}

diesel::table! {
    callbacks (id) {
        id -> Text,
        adapter -> Text,
        sender_id -> BigInt,
        parsed -> Bool,
        body -> Binary,
        received_at -> BigInt,
        due_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    endpoints (id) {
        id -> Text,
        business_id -> Text,
        url -> Text,
        verify_token -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    deliveries (id) {
        id -> Text,
        business_id -> Text,
        endpoint_id -> Text,
        message_id -> Text,
        payload -> Text,
        state -> SmallInt,
        attempt -> Integer,
        due_at -> Nullable<BigInt>,
        last_status -> Nullable<Integer>,
        last_error -> Nullable<Text>,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    sign_in_links (hash) {
        hash -> Text,
        user_name -> Text,
        expires_at -> BigInt,
        used_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    sessions (hash) {
        hash -> Text,
        user_name -> Text,
        created_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(businesses, deliveries, endpoints, senders);
