#pragma once
/**
 * go_home() - from another mount namespace back to our own, which @home is
 * Tried again, because it can fail for want of memory alone. What followed in a foreign namespace
 * would be wrong in ways that nobody sees: without return the process ends, and its supervisor
 * starts it anew.
 */
void go_home(int home);
