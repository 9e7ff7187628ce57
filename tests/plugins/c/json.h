/* As much JSON as an adapter in C needs: is this text a document, where is a member of it, and text written as a string.
 * Values stay where they are, as they were written; nothing is copied. */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Arrays and objects within each other, at most. What is nested deeper is refused, not followed into the ground. */
#define JSON_DEPTH_MAX 512

/* A value, as it stands in its document. Without a place it is missing. */
typedef struct {
    const char *at;
    size_t len;
} Json;

typedef struct {
    const char *at;
    const char *end;
} JsonReader;

static void json_space(JsonReader *in)
{
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r'))
        in->at++;
}

static bool json_word(JsonReader *in, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(in->end - in->at) < len || memcmp(in->at, word, len) != 0)
        return false;
    in->at += len;
    return true;
}

/* One character beyond ASCII, in UTF-8: no shorter form than it must have, no surrogate, none beyond the last. */
static bool json_utf8(JsonReader *in)
{
    const unsigned char *c = (const unsigned char *)in->at;
    size_t left = (size_t)(in->end - in->at);
    size_t more = c[0] >= 0xf0 ? 3 : c[0] >= 0xe0 ? 2 : 1;
    if (c[0] < 0xc2 || c[0] > 0xf4 || left <= more)
        return false;
    for (size_t i = 1; i <= more; i++)
        if ((c[i] & 0xc0) != 0x80)
            return false;
    if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) || (c[0] == 0xf0 && c[1] < 0x90) ||
        (c[0] == 0xf4 && c[1] > 0x8f))
        return false;
    in->at += more + 1;
    return true;
}

static int json_hex4(JsonReader *in)
{
    int value = 0;
    if (in->end - in->at < 4)
        return -1;
    for (int i = 0; i < 4; i++, in->at++) {
        char c = *in->at;
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static bool json_string(JsonReader *in)
{
    if (in->at >= in->end || *in->at != '"')
        return false;
    in->at++;
    while (in->at < in->end) {
        unsigned char c = (unsigned char)*in->at;
        if (c == '"') {
            in->at++;
            return true;
        }
        if (c < 0x20)
            return false;
        if (c >= 0x80) {
            if (!json_utf8(in))
                return false;
            continue;
        }
        in->at++;
        if (c != '\\')
            continue;
        if (in->at >= in->end)
            return false;
        char escape = *in->at++;
        if (escape == 'u') {
            int unit = json_hex4(in);
            if (unit < 0 || (unit >= 0xdc00 && unit <= 0xdfff))
                return false;
            if (unit >= 0xd800 && unit <= 0xdbff) {
                int low = json_word(in, "\\u") ? json_hex4(in) : -1;
                if (low < 0xdc00 || low > 0xdfff)
                    return false;
            }
        } else if (strchr("\"\\/bfnrt", escape) == NULL || escape == 0) {
            return false;
        }
    }
    return false;
}

static bool json_digits(JsonReader *in)
{
    const char *first = in->at;
    while (in->at < in->end && *in->at >= '0' && *in->at <= '9')
        in->at++;
    return in->at > first;
}

static bool json_number(JsonReader *in)
{
    if (in->at < in->end && *in->at == '-')
        in->at++;
    const char *first = in->at;
    if (!json_digits(in) || (*first == '0' && in->at - first > 1))
        return false;
    if (in->at < in->end && *in->at == '.') {
        in->at++;
        if (!json_digits(in))
            return false;
    }
    if (in->at < in->end && (*in->at == 'e' || *in->at == 'E')) {
        in->at++;
        if (in->at < in->end && (*in->at == '+' || *in->at == '-'))
            in->at++;
        if (!json_digits(in))
            return false;
    }
    return true;
}

static bool json_value(JsonReader *in, int depth)
{
    json_space(in);
    if (in->at >= in->end || depth > JSON_DEPTH_MAX)
        return false;
    char first = *in->at;
    if (first == '"')
        return json_string(in);
    if (first != '{' && first != '[')
        return json_word(in, "true") || json_word(in, "false") || json_word(in, "null") || json_number(in);
    char last = first == '{' ? '}' : ']';
    in->at++;
    json_space(in);
    if (in->at < in->end && *in->at == last) {
        in->at++;
        return true;
    }
    for (;;) {
        if (first == '{') {
            json_space(in);
            if (!json_string(in))
                return false;
            json_space(in);
            if (in->at >= in->end || *in->at++ != ':')
                return false;
        }
        if (!json_value(in, depth + 1))
            return false;
        json_space(in);
        if (in->at >= in->end)
            return false;
        char next = *in->at++;
        if (next == last)
            return true;
        if (next != ',')
            return false;
    }
}

/* The value at the reader, which is known to be one. */
static Json json_here(JsonReader *in)
{
    json_space(in);
    Json value = {in->at, 0};
    if (!json_value(in, 0))
        return (Json){NULL, 0};
    value.len = (size_t)(in->at - value.at);
    return value;
}

/* The document that `bytes` are; missing if they are none. */
static Json json_document(const uint8_t *bytes, size_t len)
{
    if (bytes == NULL)
        return (Json){NULL, 0};
    JsonReader in = {(const char *)bytes, (const char *)bytes + len};
    Json document = json_here(&in);
    json_space(&in);
    return in.at == in.end ? document : (Json){NULL, 0};
}

static bool json_is(Json value, char first)
{
    return value.len > 0 && *value.at == first;
}

static bool json_equals(Json value, const char *text)
{
    return value.at != NULL && value.len == strlen(text) && memcmp(value.at, text, value.len) == 0;
}

/* A member of an object; missing if it has none of that name, or is no object. `name` needs no escapes. */
static Json json_member(Json object, const char *name)
{
    if (!json_is(object, '{'))
        return (Json){NULL, 0};
    JsonReader in = {object.at + 1, object.at + object.len};
    for (;;) {
        json_space(&in);
        if (*in.at == '}')
            return (Json){NULL, 0};
        if (*in.at == ',')
            in.at++;
        Json key = json_here(&in);
        json_space(&in);
        in.at++; /* the colon */
        Json value = json_here(&in);
        if (key.len == strlen(name) + 2 && memcmp(key.at + 1, name, key.len - 2) == 0)
            return value;
    }
}

/* Goes through an array: the next value, missing at its end. `in` starts as the array's inside. */
static Json json_next(JsonReader *in)
{
    json_space(in);
    if (in->at >= in->end || *in->at == ']')
        return (Json){NULL, 0};
    if (*in->at == ',')
        in->at++;
    return json_here(in);
}

#endif
