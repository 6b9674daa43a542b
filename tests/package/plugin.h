// What another MTA's plugin would offer: the policy engine behind one function.
#pragma once

/// Whether an enforced policy admits the host it lists and refuses another one.
[[nodiscard]] bool policy_is_obeyed();
