module github.com/clerkproxy/clerkproxy

go 1.26
