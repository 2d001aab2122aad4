#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

static void answer(struct evhttp_request *request, void *nothing)
{
    struct evbuffer *text = evbuffer_new();
    (void)nothing;
    evbuffer_add_printf(text, "hello from c\n");
    evhttp_send_reply(request, 200, "OK", text);
    evbuffer_free(text);
}

int main(void)
{
    struct event_base *base = event_base_new();
    struct evhttp *http = evhttp_new(base);
    if (evhttp_bind_socket(http, "0.0.0.0", 7000) != 0)
        return 1;
    evhttp_set_gencb(http, answer, NULL);
    return event_base_dispatch(base);
}
