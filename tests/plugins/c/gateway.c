/*
 * An adapter in C, written from waystation_adapter.h alone: plain text messages to an HTTP gateway.
 *
 * A sender's connection may name the gateway as "upstream". Each message is one POST with the JSON body
 *     {"to": "..", "text": "..", "ref": "..", "via": "VERSION"}
 * and is accepted when the gateway answers 2xx. A message's id at the network is the attempt's reference.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "json.h"
#include "waystation_adapter.h"

#ifndef VERSION
#define VERSION "1"
#endif

#define THE_REQUEST "1"

/* ---- Answers: they are ours until the host hands them to free_buffer. ---- */

typedef struct {
    char *text;
    size_t len;
    size_t capacity;
    bool failed;
} Out;

static void put(Out *out, const char *text, size_t len)
{
    if (out->failed)
        return;
    if (out->capacity - out->len < len) {
        size_t capacity = (out->len + len) * 2 + 64;
        char *bigger = realloc(out->text, capacity);
        if (bigger == NULL) {
            out->failed = true;
            return;
        }
        out->text = bigger;
        out->capacity = capacity;
    }
    memcpy(out->text + out->len, text, len);
    out->len += len;
}

static void put_text(Out *out, const char *text)
{
    put(out, text, strlen(text));
}

static void put_json(Out *out, Json value)
{
    put(out, value.at, value.len);
}

/* JSON within a JSON string. A document that was checked has no control characters in its strings, and we put none
 * between them. */
static void put_quoted(Out *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"' || text[i] == '\\')
            put(out, "\\", 1);
        put(out, text + i, 1);
    }
}

static int32_t give(WaystationBuffer *answer, int32_t status, Out *out)
{
    if (out->failed) {
        free(out->text);
        *answer = (WaystationBuffer){NULL, 0, 0};
        return WAYSTATION_STATUS_PANICKED;
    }
    *answer = (WaystationBuffer){(uint8_t *)out->text, out->len, out->capacity};
    return status;
}

static int32_t refuse(WaystationBuffer *answer, int32_t status, const char *why)
{
    Out out = {0};
    put_text(&out, "{\"v\":1,\"error\":\"");
    put_text(&out, why);
    put_text(&out, "\"}");
    return give(answer, status, &out);
}

static int32_t fail(WaystationBuffer *answer, const char *before, const char *title, const char *after)
{
    Out out = {0};
    put_text(&out, "{\"v\":1,\"send\":{\"failed\":{\"");
    put_text(&out, before);
    put_text(&out, "\"error\":{\"title\":\"");
    put_text(&out, title);
    put_text(&out, "\"}");
    put_text(&out, after);
    put_text(&out, "}}}}");
    return give(answer, WAYSTATION_STATUS_DONE, &out);
}

/* ---- Tasks: sends that wait for the gateway's answer. ---- */

typedef struct Task {
    struct Task *next;
    uint64_t id;
    size_t ref_len;
    char ref[]; /* the attempt's reference, as JSON */
} Task;

static pthread_mutex_t tasks_lock = PTHREAD_MUTEX_INITIALIZER;
static Task *tasks;
static uint64_t last_task;

static Task *new_task(Json ref)
{
    Task *task = malloc(sizeof *task + ref.len);
    if (task == NULL)
        return NULL;
    task->ref_len = ref.len;
    memcpy(task->ref, ref.at, ref.len);
    return task;
}

static uint64_t keep_task(Task *task)
{
    pthread_mutex_lock(&tasks_lock);
    if (task->id == 0)
        task->id = ++last_task;
    task->next = tasks;
    tasks = task;
    pthread_mutex_unlock(&tasks_lock);
    return task->id;
}

/* Taken out of the list while it runs, so that it is nobody else's. */
static Task *take_task(uint64_t id)
{
    pthread_mutex_lock(&tasks_lock);
    Task **at = &tasks;
    while (*at != NULL && (*at)->id != id)
        at = &(*at)->next;
    Task *task = *at;
    if (task != NULL)
        *at = task->next;
    pthread_mutex_unlock(&tasks_lock);
    return task;
}

/* ---- The functions of the table. ---- */

static int32_t gateway_describe(WaystationBuffer *answer_owned_by_plugin)
{
    if (answer_owned_by_plugin == NULL)
        return WAYSTATION_STATUS_BAD_INPUT;
    Out out = {0};
    put_text(&out, "{\"v\":1,\"adapter\":{\"name\":\"gateway\",\"version\":\"" VERSION "\",\"channel\":\"sms\","
                   "\"connection_schema\":{\"type\":\"object\",\"properties\":{\"upstream\":{\"type\":\"string\"}}}}}");
    return give(answer_owned_by_plugin, WAYSTATION_STATUS_DONE, &out);
}

static int32_t send_message(Json message, uint64_t *task, WaystationBuffer *answer)
{
    Json recipient = json_member(message, "recipient");
    Json ref = json_member(message, "attempt_ref");
    Json text = json_member(message, "text");
    Json phone = json_member(recipient, "phone");
    Json upstream = json_member(json_member(message, "connection"), "upstream");
    if (!json_is(recipient, '{') || !json_is(ref, '"') || (text.at != NULL && !json_is(text, '"')))
        return refuse(answer, WAYSTATION_STATUS_BAD_INPUT, "the message is none");
    if (!json_is(phone, '"'))
        return fail(answer, "rejected\":{", "The recipient has no number", "");
    if (text.at == NULL)
        text = (Json){"\"\"", 2};
    Out out = {0};
    put_text(&out, "{\"v\":1,\"io\":[{\"id\":" THE_REQUEST ",\"op\":{\"http\":{\"method\":\"POST\",\"url\":");
    if (json_is(upstream, '"'))
        put_json(&out, upstream);
    else
        put_text(&out, "\"https://upstream.invalid/messages\"");
    put_text(&out, ",\"headers\":[[\"content-type\",\"application/json\"]],\"body\":\"");
    Json members[] = {phone, text, ref};
    const char *names[] = {"{\"to\":", ",\"text\":", ",\"ref\":"};
    for (size_t i = 0; i < 3; i++) {
        put_quoted(&out, names[i], strlen(names[i]));
        put_quoted(&out, members[i].at, members[i].len);
    }
    put_text(&out, ",\\\"via\\\":\\\"" VERSION "\\\"}\"}}}]}");
    Task *waiting = out.failed ? NULL : new_task(ref);
    if (waiting == NULL) {
        out.failed = true;
    } else {
        waiting->id = 0;
        *task = keep_task(waiting);
    }
    return give(answer, WAYSTATION_STATUS_PENDING, &out);
}

static int32_t gateway_start(const uint8_t *input_owned_by_host, size_t input_len, uint64_t *task,
                             WaystationBuffer *answer_owned_by_plugin)
{
    if (task == NULL || answer_owned_by_plugin == NULL)
        return WAYSTATION_STATUS_BAD_INPUT;
    *task = 0;
    Json document = json_document(input_owned_by_host, input_len);
    Json op = json_member(document, "op");
    if (!json_equals(json_member(document, "v"), "1") || !json_is(op, '"'))
        return refuse(answer_owned_by_plugin, WAYSTATION_STATUS_BAD_INPUT, "the input is no start document of version 1");
    if (!json_equals(op, "\"send\""))
        return refuse(answer_owned_by_plugin, WAYSTATION_STATUS_UNSUPPORTED, "this adapter only sends");
    return send_message(json_member(document, "message"), task, answer_owned_by_plugin);
}

/* What the gateway's answer means. Never better than what is known. */
static int32_t conclude(Task *task, Json result, WaystationBuffer *answer)
{
    Json failure = json_member(result, "http_failed");
    if (json_is(json_member(failure, "not_sent"), '{'))
        return fail(answer, "retry_after\":{", "The gateway could not be reached", "");
    Json status = json_member(json_member(result, "http"), "status");
    int code = 0;
    for (size_t i = 0; status.len == 3 && i < 3; i++)
        code = code * 10 + (status.at[i] - '0');
    if (code >= 200 && code < 300) {
        Out out = {0};
        put_text(&out, "{\"v\":1,\"send\":{\"accepted\":{\"upstream_id\":");
        put(&out, task->ref, task->ref_len);
        put_text(&out, "}}}");
        return give(answer, WAYSTATION_STATUS_DONE, &out);
    }
    if (code == 429)
        return fail(answer, "rate_limited\":{\"after_ms\":1000,\"scope\":\"sender\",", "The gateway has enough", "");
    if (code == 401 || code == 403)
        return fail(answer, "channel_down\":{\"needs_operator\":true,", "The gateway does not let this sender in", "");
    if (code >= 400 && code < 500)
        return fail(answer, "rejected\":{", "The gateway refuses the message", "");
    return fail(answer, "ambiguous\":{", "It is not known whether the gateway has the message", "");
}

static int32_t gateway_resume(uint64_t task, const uint8_t *input_owned_by_host, size_t input_len,
                              WaystationBuffer *answer_owned_by_plugin)
{
    if (answer_owned_by_plugin == NULL)
        return WAYSTATION_STATUS_BAD_INPUT;
    Json document = json_document(input_owned_by_host, input_len);
    Json results = json_member(document, "results");
    if (!json_equals(json_member(document, "v"), "1") || !json_is(results, '['))
        return refuse(answer_owned_by_plugin, WAYSTATION_STATUS_BAD_INPUT, "the input is no resume document of version 1");
    Task *waiting = take_task(task);
    if (waiting == NULL)
        return refuse(answer_owned_by_plugin, WAYSTATION_STATUS_UNKNOWN_TASK, "no such task waits here");
    JsonReader in = {results.at + 1, results.at + results.len};
    for (Json result = json_next(&in); result.at != NULL; result = json_next(&in)) {
        if (!json_equals(json_member(result, "id"), THE_REQUEST))
            continue;
        int32_t status = conclude(waiting, json_member(result, "result"), answer_owned_by_plugin);
        free(waiting);
        return status;
    }
    /* Nothing of what was asked for: the request is still open. */
    keep_task(waiting);
    Out out = {0};
    put_text(&out, "{\"v\":1}");
    return give(answer_owned_by_plugin, WAYSTATION_STATUS_PENDING, &out);
}

static void gateway_free_task(uint64_t task)
{
    free(take_task(task));
}

static void gateway_free_buffer(WaystationBuffer owned_by_plugin)
{
    free(owned_by_plugin.ptr);
}

const WaystationAdapterTable *waystation_adapter_v1(void)
{
    static const WaystationAdapterTable table = {
        WAYSTATION_ADAPTER_MAGIC, WAYSTATION_ADAPTER_MAJOR, WAYSTATION_ADAPTER_MINOR, sizeof table,
        "gateway " VERSION " (C)", gateway_describe, gateway_start, gateway_resume, gateway_free_task,
        gateway_free_buffer,
    };
    return &table;
}
