#include "relay/message/bulk.h"

#include <doctest/doctest.h>

TEST_CASE("bulk mail is known by its header, not by its body") {
  struct Row {
    const char* content;
    bool bulk;
  };
  for (const Row& row :
       {Row{"Subject: a\r\nPrecedence: bulk\r\n\r\nbody\r\n", true},
        Row{"precedence:LIST\r\n\r\n", true}, Row{"Precedence:  junk  \r\n\r\n", true},
        Row{"Precedence: first-class\r\n\r\n", false},
        Row{"Subject: a\r\nList-ID: news <news.a.example>\r\n\r\n", true},
        Row{"Subject: a\r\n\r\nPrecedence: bulk\r\n", false},
        Row{"Subject: Precedence: bulk\r\n\r\n", false}, Row{"\r\nList-Id: a\r\n", false},
        Row{"List-Id", true}, Row{"Precedence", false}, Row{"", false}}) {
    CAPTURE(row.content);
    CHECK(relay::message::is_bulk(row.content) == row.bulk);
  }
}
