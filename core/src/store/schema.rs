//! The tables, as diesel knows them. The same for both databases: texts, 64-bit
//! numbers, booleans and bytes only, so that a row means the same in each.

diesel::table! {
    resellers (id) {
        id -> Text,
        name -> Text,
        created_at -> BigInt,
        status -> Text,
        status_reason -> Nullable<Text>,
        policy -> Text,
    }
}

diesel::table! {
    businesses (id) {
        id -> Text,
        reseller_id -> Text,
        name -> Text,
        created_at -> BigInt,
        state -> Text,
        policy -> Text,
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
        channel -> Text,
        phone_verified_at -> Nullable<BigInt>,
        paused_at -> Nullable<BigInt>,
        paused_reason -> Nullable<Text>,
    }
}

diesel::table! {
    signing_secrets (id) {
        id -> Text,
        business_id -> Text,
        sealed -> Binary,
        created_at -> BigInt,
        expires_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    api_keys (id) {
        id -> Text,
        business_id -> Nullable<Text>,
        name -> Text,
        prefix -> Text,
        hash -> Text,
        created_at -> BigInt,
        revoked_at -> Nullable<BigInt>,
        reseller_id -> Text,
        mode -> Text,
        scopes -> Text,
        addresses -> Text,
        signed -> Bool,
        expires_at -> Nullable<BigInt>,
        last_used_at -> Nullable<BigInt>,
        last_used_address -> Nullable<Text>,
        successor_id -> Nullable<Text>,
    }
}

diesel::table! {
    oauth_clients (id) {
        id -> Text,
        reseller_id -> Text,
        business_id -> Nullable<Text>,
        name -> Text,
        mode -> Text,
        scopes -> Text,
        addresses -> Text,
        secret_hash -> Text,
        previous_hash -> Nullable<Text>,
        previous_until -> Nullable<BigInt>,
        created_at -> BigInt,
        expires_at -> Nullable<BigInt>,
        last_used_at -> Nullable<BigInt>,
        last_used_address -> Nullable<Text>,
        revoked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    access_tokens (hash) {
        hash -> Text,
        client_id -> Text,
        scopes -> Text,
        expires_at -> BigInt,
    }
}

diesel::table! {
    usage_days (business_id, day, sender_id, shard) {
        business_id -> Text,
        day -> Integer,
        sender_id -> BigInt,
        shard -> Integer,
        messages -> BigInt,
    }
}

diesel::table! {
    sender_signals (sender_id, day, kind) {
        sender_id -> BigInt,
        day -> Integer,
        kind -> Text,
        count -> BigInt,
    }
}

diesel::table! {
    abuse_cases (id) {
        id -> Text,
        reseller_id -> Text,
        business_id -> Text,
        sender_id -> BigInt,
        reason -> Text,
        evidence -> Text,
        opened_at -> BigInt,
        closed_at -> Nullable<BigInt>,
        resolution -> Nullable<Text>,
    }
}

diesel::table! {
    audit_log (seq) {
        seq -> BigInt,
        at -> BigInt,
        actor_kind -> Text,
        actor_id -> Text,
        actor_name -> Text,
        address -> Nullable<Text>,
        request_id -> Nullable<Text>,
        action -> Text,
        reseller_id -> Nullable<Text>,
        business_id -> Nullable<Text>,
        subject -> Text,
        before -> Nullable<Text>,
        after -> Nullable<Text>,
        hash -> Text,
    }
}

diesel::table! {
    audit_head (id) {
        id -> Integer,
        seq -> BigInt,
        hash -> Text,
    }
}

diesel::table! {
    vault_keys (id) {
        id -> Text,
        proof -> Binary,
        created_at -> BigInt,
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
        created_at -> BigInt,
        latest -> Integer,
        state -> Text,
        in_use -> Nullable<Integer>,
        used_state -> Nullable<Text>,
        quality -> Text,
        updated_at -> BigInt,
    }
}

diesel::table! {
    template_versions (template_id, number) {
        template_id -> BigInt,
        number -> Integer,
        state -> Text,
        category -> Text,
        previous_category -> Nullable<Text>,
        parameter_format -> Text,
        components -> Text,
        source -> Nullable<Text>,
        variables -> Text,
        samples -> Nullable<Text>,
        ttl_seconds -> Nullable<BigInt>,
        fingerprint -> Text,
        author_kind -> Text,
        author_id -> Text,
        author_name -> Text,
        created_at -> BigInt,
        submitter_kind -> Nullable<Text>,
        submitter_id -> Nullable<Text>,
        submitter_name -> Nullable<Text>,
        submitted_at -> Nullable<BigInt>,
        decided_at -> Nullable<BigInt>,
        network -> Nullable<Text>,
        reason -> Nullable<Text>,
        rejection -> Nullable<Text>,
        recommendation -> Nullable<Text>,
    }
}

diesel::table! {
    template_names (account_id, name) {
        account_id -> BigInt,
        name -> Text,
        fallback -> Text,
        reusable_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    messages (id) {
        id -> Text,
        business_id -> Text,
        sender_id -> BigInt,
        recipient -> Text,
        kind -> Text,
        category -> Text,
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
        sealed -> Nullable<Binary>,
        template_name -> Nullable<Text>,
        scheduled_at -> Nullable<BigInt>,
        routing -> Nullable<Text>,
        via_sender_id -> Nullable<BigInt>,
        look_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    left_ids (upstream_id, message_id) {
        upstream_id -> Text,
        message_id -> Text,
    }
}

diesel::table! {
    routing_rules (business_id, sender_id) {
        business_id -> Text,
        sender_id -> BigInt,
        rules -> Text,
        updated_at -> BigInt,
    }
}

diesel::table! {
    channels (sender_id) {
        sender_id -> BigInt,
        reason -> Text,
        code -> Nullable<BigInt>,
        needs_operator -> Bool,
        failures -> Integer,
        since -> BigInt,
        probe_at -> BigInt,
        probing_until -> BigInt,
        settings -> Text,
    }
}

diesel::table! {
    one_time_passwords (id) {
        id -> Text,
        business_id -> Text,
        recipient -> Text,
        sealed -> Binary,
        tries -> Integer,
        message_id -> Text,
        created_at -> BigInt,
        expires_at -> BigInt,
        verified_at -> Nullable<BigInt>,
        fallback_at -> Nullable<BigInt>,
        fallback_sender_id -> Nullable<BigInt>,
        fallback_message_id -> Nullable<Text>,
        fallback_sealed -> Nullable<Binary>,
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
        sealed -> Bool,
    }
}

diesel::table! {
    endpoints (id) {
        id -> Text,
        business_id -> Text,
        url -> Text,
        verify_token -> Text,
        created_at -> BigInt,
        overrides -> Bool,
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
    users (id) {
        id -> Text,
        email -> Nullable<Text>,
        name -> Text,
        role -> Text,
        reseller_id -> Nullable<Text>,
        business_id -> Nullable<Text>,
        password_hash -> Nullable<Text>,
        totp_secret -> Nullable<Binary>,
        totp_step -> Nullable<BigInt>,
        created_at -> BigInt,
        seen_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    recovery_codes (user_id, hash) {
        user_id -> Text,
        hash -> Text,
    }
}

diesel::table! {
    sign_in_links (hash) {
        hash -> Text,
        user_id -> Text,
        resets_two_factor -> Bool,
        expires_at -> BigInt,
    }
}

diesel::table! {
    sessions (id) {
        id -> Text,
        hash -> Text,
        user_id -> Text,
        stage -> Text,
        address -> Nullable<Text>,
        device -> Text,
        pending_secret -> Nullable<Binary>,
        created_at -> BigInt,
        seen_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    business_profiles (business_id) {
        business_id -> Text,
        profile -> Text,
        updated_at -> BigInt,
    }
}

diesel::table! {
    documents (id) {
        id -> Text,
        business_id -> Text,
        kind -> Text,
        file_name -> Text,
        content_type -> Text,
        size_bytes -> BigInt,
        sha256 -> Text,
        uploaded_by -> Text,
        uploaded_at -> BigInt,
    }
}

diesel::table! {
    document_contents (document_id) {
        document_id -> Text,
        sealed -> Binary,
    }
}

diesel::table! {
    submissions (id) {
        id -> Text,
        business_id -> Text,
        submitted_at -> BigInt,
        actor_kind -> Text,
        actor_id -> Text,
        actor_name -> Text,
        profile -> Text,
        documents -> Text,
        checks -> Text,
    }
}

diesel::table! {
    business_steps (id) {
        id -> BigInt,
        business_id -> Text,
        at -> BigInt,
        action -> Text,
        from_state -> Text,
        to_state -> Text,
        reason -> Nullable<Text>,
        submission_id -> Nullable<Text>,
        actor_kind -> Text,
        actor_id -> Text,
        actor_name -> Text,
    }
}

diesel::table! {
    review_queue (business_id) {
        business_id -> Text,
        submission_id -> Text,
        submitted_at -> BigInt,
        state_since -> BigInt,
    }
}

diesel::table! {
    code_numbers (phone) {
        phone -> Text,
        counts -> Text,
        updated_at -> BigInt,
    }
}

diesel::table! {
    phone_codes (sender_id) {
        sender_id -> BigInt,
        id -> Text,
        sealed -> Nullable<Binary>,
        tries -> Integer,
        expires_at -> BigInt,
    }
}

diesel::table! {
    sender_registrations (sender_id) {
        sender_id -> BigInt,
        pin -> Binary,
        registered_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    sandbox_messages (id) {
        id -> Text,
        business_id -> Text,
        phone -> Text,
        shown_from -> Text,
        text -> Text,
        at -> BigInt,
        arrived_at -> BigInt,
    }
}

diesel::table! {
    inbound_messages (id) {
        id -> Text,
        business_id -> Text,
        sender_id -> BigInt,
        phone -> Nullable<Text>,
        user_id -> Nullable<Text>,
        parent_user_id -> Nullable<Text>,
        profile_name -> Nullable<Text>,
        username -> Nullable<Text>,
        kind -> Text,
        body -> Text,
        context_id -> Nullable<Text>,
        upstream_id -> Text,
        sent_at -> BigInt,
        received_at -> BigInt,
        read_at -> Nullable<BigInt>,
        typing_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    windows (sender_id, recipient) {
        sender_id -> BigInt,
        recipient -> Text,
        business_id -> Text,
        last_inbound_id -> Text,
        last_inbound_at -> BigInt,
        entry -> Nullable<Text>,
        entry_at -> Nullable<BigInt>,
        entry_until -> Nullable<BigInt>,
    }
}

diesel::table! {
    blocked_people (id) {
        id -> Text,
        business_id -> Text,
        sender_id -> BigInt,
        phone -> Nullable<Text>,
        user_id -> Nullable<Text>,
        blocked_at -> BigInt,
        dropped -> BigInt,
    }
}

diesel::table! {
    sender_profiles (sender_id) {
        sender_id -> BigInt,
        profile -> Text,
        updated_at -> BigInt,
    }
}

diesel::table! {
    qr_codes (code) {
        code -> Text,
        business_id -> Text,
        sender_id -> BigInt,
        prefilled_message -> Text,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    media_blobs (key) {
        key -> Text,
        business_id -> Text,
        sha256 -> Nullable<Text>,
        size_bytes -> BigInt,
        uses -> Integer,
        discard_at -> Nullable<BigInt>,
        created_at -> BigInt,
    }
}

diesel::table! {
    media (id) {
        id -> BigInt,
        business_id -> Text,
        sender_id -> Nullable<BigInt>,
        blob_key -> Text,
        origin -> Text,
        content_type -> Text,
        file_name -> Nullable<Text>,
        sha256 -> Text,
        size_bytes -> BigInt,
        created_at -> BigInt,
        expires_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    media_copies (media_id, sender_id) {
        media_id -> BigInt,
        sender_id -> BigInt,
        adapter -> Text,
        upstream_id -> Text,
        uploaded_at -> BigInt,
        expires_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    media_uploads (id) {
        id -> Text,
        business_id -> Text,
        file_name -> Nullable<Text>,
        content_type -> Text,
        length_bytes -> BigInt,
        received_bytes -> BigInt,
        parts -> Text,
        media_id -> Nullable<BigInt>,
        handle -> Nullable<Text>,
        created_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    access_tokens,
    accounts,
    api_keys,
    business_profiles,
    businesses,
    deliveries,
    endpoints,
    oauth_clients,
    qr_codes,
    resellers,
    review_queue,
    sandbox_messages,
    sender_signals,
    senders,
    submissions,
    template_versions,
    templates,
    usage_days,
);

diesel::table! {
    sign_in_tries (name) {
        name -> Text,
        failures -> Integer,
        blocked_until -> BigInt,
        tried_at -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(inbound_messages, windows);
diesel::allow_tables_to_appear_in_same_query!(sessions, sign_in_links, users);

diesel::table! {
    hash_keys (name) {
        name -> Text,
        sealed -> Binary,
        created_at -> BigInt,
    }
}

diesel::table! {
    contacts (id) {
        id -> Text,
        business_id -> Text,
        phone -> Nullable<Text>,
        phone_hash -> Nullable<Text>,
        user_id -> Nullable<Text>,
        user_hash -> Nullable<Text>,
        profile_name -> Nullable<Text>,
        given_name -> Nullable<Text>,
        language -> Nullable<Text>,
        time_zone -> Nullable<Text>,
        tags -> Text,
        attributes -> Text,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    contact_terms (business_id, term, contact_id) {
        business_id -> Text,
        term -> Text,
        contact_id -> Text,
    }
}

diesel::table! {
    contact_attributes (business_id, name) {
        business_id -> Text,
        name -> Text,
        kind -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    contact_consents (id) {
        id -> Text,
        business_id -> Text,
        contact_id -> Text,
        channel -> Text,
        category -> Text,
        granted -> Bool,
        source -> Text,
        text_version -> Nullable<Text>,
        evidence -> Nullable<Text>,
        at -> BigInt,
        recorded_at -> BigInt,
    }
}

diesel::table! {
    suppressions (id) {
        id -> Text,
        business_id -> Text,
        person -> Text,
        address -> Nullable<Text>,
        channel -> Text,
        category -> Text,
        source -> Text,
        detail -> Nullable<Text>,
        confirmation_id -> Nullable<Text>,
        created_at -> BigInt,
    }
}

diesel::table! {
    opt_out_settings (business_id) {
        business_id -> Text,
        stop_text -> Nullable<Text>,
        start_text -> Nullable<Text>,
        updated_at -> BigInt,
    }
}

diesel::table! {
    contact_imports (id) {
        id -> Text,
        business_id -> Text,
        state -> Text,
        rows_read -> BigInt,
        rows_created -> BigInt,
        rows_updated -> BigInt,
        rows_failed -> BigInt,
        failure -> Nullable<Text>,
        started_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    contact_import_errors (import_id, line, place) {
        import_id -> Text,
        line -> BigInt,
        place -> BigInt,
        name -> Text,
        message -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(contact_consents, contact_terms, contacts, suppressions);

diesel::table! {
    network_templates (template_id) {
        template_id -> BigInt,
        account_id -> BigInt,
        name -> Text,
        language -> Text,
        adapter -> Text,
        upstream_id -> Nullable<Text>,
        task -> Text,
        version -> Integer,
        due_at -> Nullable<BigInt>,
        attempts -> Integer,
        error -> Nullable<Text>,
        submitted_at -> Nullable<BigInt>,
        checked_at -> Nullable<BigInt>,
        heard_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    arriving_media (id) {
        id -> BigInt,
        business_id -> Text,
        sender_id -> BigInt,
        adapter -> Text,
        upstream_id -> Text,
        content_type -> Nullable<Text>,
        file_name -> Nullable<Text>,
        due_at -> Nullable<BigInt>,
        attempts -> Integer,
        error -> Nullable<Text>,
        created_at -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(network_templates, templates);
diesel::allow_tables_to_appear_in_same_query!(network_templates, senders);
