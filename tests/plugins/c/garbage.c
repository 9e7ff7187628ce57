/* An adapter whose answers are wrong in a way that the recipient's last digit chooses. */
#include "fixture.h"

#ifndef BAD_ID
#define BAD_ID ""
#endif

static int32_t fixture_start(const uint8_t *input, size_t len, uint64_t *task, WaystationBuffer *answer)
{
    *task = 0;
    switch (last_digit(input, len)) {
    case '1': /* not JSON */
        return answer_text(answer, WAYSTATION_STATUS_DONE, "<html>502 Bad Gateway</html>");
    case '2': /* no such status */
        return answer_text(answer, 77, "{}");
    case '3': /* pending, without a task */
        return answer_text(answer, WAYSTATION_STATUS_PENDING, ASK_HTTP);
    case '4': /* success, with an id that is none */
        return answer_text(answer, WAYSTATION_STATUS_DONE, "{\"v\":1,\"send\":{\"accepted\":{\"upstream_id\":\"" BAD_ID "\"}}}");
    case '5': /* wrong only after it used the network */
        *task = 9;
        return answer_text(answer, WAYSTATION_STATUS_PENDING, ASK_HTTP);
    case '6': /* waits for nothing */
        *task = 9;
        return answer_text(answer, WAYSTATION_STATUS_PENDING, "{\"v\":1}");
    case '7': /* a length without bytes */
        answer->ptr = NULL;
        answer->len = 4096;
        return WAYSTATION_STATUS_DONE;
    case '8': /* done, without an outcome */
        return answer_text(answer, WAYSTATION_STATUS_DONE, "{\"v\":1}");
    case '9': /* not UTF-8, not even text */
        return answer_bytes(answer, WAYSTATION_STATUS_DONE, "\xff\xfe\x00{", 4);
    default:
        return answer_text(answer, WAYSTATION_STATUS_DONE, ACCEPTED);
    }
}

static int32_t fixture_resume(uint64_t task, const uint8_t *input, size_t len, WaystationBuffer *answer)
{
    (void)task, (void)input, (void)len;
    return answer_text(answer, WAYSTATION_STATUS_DONE, "}{");
}

FIXTURE("garbage")
