//! The story itself: each step's command, the call that it stands for, and what must come of it.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::client::{CallFailed, KmsClient};
use super::proxy::{Proxy, ProxyError};
use super::screen::Screen;

/// The host of the first store's endpoint.
pub(super) const HOST: &str = "xks.test";
/// The same proxy by another name, for a second store.
pub(super) const SECOND_HOST: &str = "localhost";

/// What the story leaves for its reader.
pub(super) struct Ids {
    pub(super) store: String,
    pub(super) key_arn: String,
    pub(super) ciphertext: String,
}

/// Tells it from the first store to the proxy that comes back.
pub(super) async fn tell(
    client: &KmsClient,
    proxy: &mut Proxy,
    screen: &Screen,
) -> Result<Ids, StoryError> {
    let mut teller = Teller {
        client,
        screen,
        steps: 0,
    };
    let store = teller.create_store(proxy, HOST, "demo", "STORE").await?;
    teller.connect(&store).await?;
    let key = teller.create_keys(&store, &proxy.env().key_id).await?;
    let secret = teller.encrypt(&key).await?;
    teller.disconnect(&store, &key).await?;
    teller.what_fails(&store, &key, &secret).await?;
    teller.what_works(&store, &key).await?;
    teller.delete(proxy, &store).await?;
    teller.reconnect(&store, &key, &secret).await?;
    teller.dead_proxy(proxy, &store, &key, &secret).await?;
    Ok(Ids {
        store,
        key_arn: key.external,
        ciphertext: secret.ciphertext,
    })
}

struct Teller<'t> {
    client: &'t KmsClient,
    screen: &'t Screen,
    steps: usize,
}

/// The ARNs of two KMS keys.
struct Keys {
    /// In the custom key store.
    external: String,
    /// An ordinary one.
    ordinary: String,
}

/// Base64.
struct Secret {
    plaintext: String,
    ciphertext: String,
}

impl Teller<'_> {
    async fn create_store(
        &mut self,
        proxy: &Proxy,
        host: &str,
        name: &str,
        variable: &str,
    ) -> Result<String, StoryError> {
        let env = proxy.env();
        if variable == "STORE" {
            self.step("Create an external key store: KMS asks the proxy at once how it is");
        }
        let command = format!(
            "{variable}=$(aws kms create-custom-key-store --query CustomKeyStoreId --output text \
             --cli-input-json '{{\"CustomKeyStoreName\": \"{name}\", \"CustomKeyStoreType\": \
             \"EXTERNAL_KEY_STORE\", \"XksProxyConnectivity\": \"PUBLIC_ENDPOINT\", \
             \"XksProxyUriEndpoint\": \"https://{host}\", \"XksProxyUriPath\": \
             \"'$XKS_PROXY_URI_PATH'\", \"XksProxyAuthenticationCredential\": {{\"AccessKeyId\": \
             \"'$XKS_ACCESS_KEY_ID'\", \"RawSecretAccessKey\": \"'$XKS_SECRET_ACCESS_KEY'\"}}}}')"
        );
        let input = json!({
            "CustomKeyStoreName": name,
            "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
            "XksProxyConnectivity": "PUBLIC_ENDPOINT",
            "XksProxyUriEndpoint": format!("https://{host}"),
            "XksProxyUriPath": env.uri_path,
            "XksProxyAuthenticationCredential": {
                "AccessKeyId": env.access_key_id,
                "RawSecretAccessKey": env.secret_access_key,
            },
        });
        let answer = self.works(&command, "CreateCustomKeyStore", input).await?;
        let store = text(&answer, "/CustomKeyStoreId")?;
        self.state(&store, variable, "DISCONNECTED").await?;
        Ok(store)
    }

    async fn connect(&mut self, store: &str) -> Result<(), StoryError> {
        self.step("Connect it: the answer comes at once, the connection a little later");
        self.connect_quietly(store).await
    }

    async fn connect_quietly(&mut self, store: &str) -> Result<(), StoryError> {
        let command = "aws kms connect-custom-key-store --custom-key-store-id $STORE";
        self.works(command, "ConnectCustomKeyStore", id(store))
            .await?;
        self.state(store, "STORE", "CONNECTING").await?;
        self.reaches(store, "CONNECTED").await
    }

    async fn create_keys(&mut self, store: &str, key_id: &str) -> Result<Keys, StoryError> {
        self.step("Create a KMS key in it, backed by an external key, and an ordinary one");
        let command = "KEY=$(aws kms create-key --origin EXTERNAL_KEY_STORE --custom-key-store-id \
                       $STORE --xks-key-id $XKS_KEY_ID --query KeyMetadata.Arn --output text)";
        let input = json!({
            "Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": store, "XksKeyId": key_id,
        });
        let answer = self.works_quietly(command, "CreateKey", input).await?;
        let external = text(&answer, "/KeyMetadata/Arn")?;
        self.screen.success(&format!(
            "{external}, XksKeyId {}, KeyState {}",
            text(&answer, "/KeyMetadata/XksKeyConfiguration/Id")?,
            text(&answer, "/KeyMetadata/KeyState")?
        ));
        let command = "OTHER=$(aws kms create-key --query KeyMetadata.Arn --output text)";
        let answer = self.works_quietly(command, "CreateKey", json!({})).await?;
        let ordinary = text(&answer, "/KeyMetadata/Arn")?;
        self.screen.success(&ordinary);
        Ok(Keys { external, ordinary })
    }

    async fn encrypt(&mut self, key: &Keys) -> Result<Secret, StoryError> {
        self.step(
            "Encrypt, decrypt, and make a data key: twice encrypted, by KMS and by the proxy",
        );
        let plaintext = PLAINTEXT_BASE64.to_owned();
        let command = "CIPHERTEXT=$(aws kms encrypt --key-id $KEY --plaintext fileb://<(printf \
                       'Hello, world') --encryption-context purpose=demo --query CiphertextBlob \
                       --output text)";
        let input = json!({
            "KeyId": key.external,
            "Plaintext": plaintext,
            "EncryptionContext": {"purpose": "demo"},
        });
        let answer = self.works_quietly(command, "Encrypt", input).await?;
        let ciphertext = text(&answer, "/CiphertextBlob")?;
        self.screen.success(&shortened(&ciphertext));
        let secret = Secret {
            plaintext,
            ciphertext,
        };
        self.decrypt(&secret).await?;
        let input = json!({"KeyId": key.external, "KeySpec": "AES_256"});
        let answer = self
            .works_quietly(GENERATE_DATA_KEY, "GenerateDataKey", input)
            .await?;
        self.screen.success(&format!(
            "a plaintext of 32 bytes, and encrypted {}",
            shortened(&text(&answer, "/CiphertextBlob")?)
        ));
        Ok(secret)
    }

    async fn decrypt(&self, secret: &Secret) -> Result<(), StoryError> {
        let answer = self
            .works_quietly(DECRYPT, "Decrypt", secret.decrypt_input())
            .await?;
        let plaintext = text(&answer, "/Plaintext")?;
        if plaintext != secret.plaintext {
            return Err(StoryError::Different {
                what: "the decrypted text",
                found: plaintext,
            });
        }
        self.screen.success("Hello, world");
        Ok(())
    }

    async fn disconnect(&mut self, store: &str, key: &Keys) -> Result<(), StoryError> {
        self.step("Disconnect it: from the answer on, no request reaches the proxy");
        let command = "aws kms disconnect-custom-key-store --custom-key-store-id $STORE";
        self.works(command, "DisconnectCustomKeyStore", id(store))
            .await?;
        self.state(store, "STORE", "DISCONNECTING").await?;
        self.key_state(key, "Unavailable").await?;
        self.reaches(store, "DISCONNECTED").await
    }

    async fn what_fails(
        &mut self,
        store: &str,
        key: &Keys,
        secret: &Secret,
    ) -> Result<(), StoryError> {
        self.step("What fails while it is disconnected");
        let external = &key.external;
        let invalid = "KMSInvalidStateException";
        let context = json!({"purpose": "demo"});
        for (command, operation, input) in [
            (
                "aws kms encrypt --key-id $KEY --plaintext fileb://<(printf 'Hello, world')",
                "Encrypt",
                json!({"KeyId": external, "Plaintext": secret.plaintext}),
            ),
            (DECRYPT, "Decrypt", secret.decrypt_input()),
            (
                GENERATE_DATA_KEY,
                "GenerateDataKey",
                json!({"KeyId": external, "KeySpec": "AES_256"}),
            ),
            (
                "aws kms generate-data-key-without-plaintext --key-id $KEY --key-spec AES_256",
                "GenerateDataKeyWithoutPlaintext",
                json!({"KeyId": external, "KeySpec": "AES_256"}),
            ),
            (
                "aws kms re-encrypt --destination-key-id $OTHER --source-encryption-context \
                 purpose=demo --ciphertext-blob fileb://<(echo $CIPHERTEXT | base64 -d)",
                "ReEncrypt",
                json!({
                    "DestinationKeyId": key.ordinary,
                    "CiphertextBlob": secret.ciphertext,
                    "SourceEncryptionContext": context,
                }),
            ),
        ] {
            self.fails(command, operation, input, invalid).await?;
        }
        let invalid = "CustomKeyStoreInvalidStateException";
        let command = "aws kms create-key --origin EXTERNAL_KEY_STORE --custom-key-store-id $STORE \
                       --xks-key-id another";
        let input = json!({
            "Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": store, "XksKeyId": "another",
        });
        self.fails(command, "CreateKey", input, invalid).await?;
        let command = "aws kms disconnect-custom-key-store --custom-key-store-id $STORE";
        self.fails(command, "DisconnectCustomKeyStore", id(store), invalid)
            .await
    }

    async fn what_works(&mut self, store: &str, key: &Keys) -> Result<(), StoryError> {
        self.step("What still works: the store and its keys can be viewed and managed");
        self.state(store, "STORE", "DISCONNECTED").await?;
        self.key_state(key, "Unavailable").await?;
        let external = &key.external;
        let by_key = json!({"KeyId": external});
        for (command, operation, input) in [
            (
                "aws kms create-alias --alias-name alias/demo --target-key-id $KEY",
                "CreateAlias",
                json!({"AliasName": "alias/demo", "TargetKeyId": external}),
            ),
            (
                "aws kms tag-resource --key-id $KEY --tags TagKey=Project,TagValue=Demo",
                "TagResource",
                json!({"KeyId": external, "Tags": [{"TagKey": "Project", "TagValue": "Demo"}]}),
            ),
            (
                "aws kms update-key-description --key-id $KEY --description 'Shown by the demo'",
                "UpdateKeyDescription",
                json!({"KeyId": external, "Description": "Shown by the demo"}),
            ),
            (
                "aws kms disable-key --key-id $KEY",
                "DisableKey",
                by_key.clone(),
            ),
            (
                "aws kms enable-key --key-id $KEY",
                "EnableKey",
                by_key.clone(),
            ),
        ] {
            self.works(command, operation, input).await?;
        }
        let command = "aws kms get-key-policy --key-id $KEY --policy-name default";
        let input = json!({"KeyId": external, "PolicyName": "default"});
        self.works_quietly(command, "GetKeyPolicy", input).await?;
        self.screen.success("the policy");
        let command =
            "aws kms encrypt --key-id $OTHER --plaintext fileb://<(printf 'Hello, world')";
        let input = json!({"KeyId": key.ordinary, "Plaintext": PLAINTEXT_BASE64});
        let answer = self.works_quietly(command, "Encrypt", input).await?;
        self.screen
            .success(&shortened(&text(&answer, "/CiphertextBlob")?));
        Ok(())
    }

    async fn delete(&mut self, proxy: &Proxy, store: &str) -> Result<(), StoryError> {
        self.step(
            "Delete it? Not while a KMS key belongs to it. A second store without keys can go",
        );
        let command = "aws kms delete-custom-key-store --custom-key-store-id $STORE";
        let exception = "CustomKeyStoreHasCMKsException";
        self.fails(command, "DeleteCustomKeyStore", id(store), exception)
            .await?;
        let second = self
            .create_store(proxy, SECOND_HOST, "demo-2", "SECOND")
            .await?;
        let command = "aws kms delete-custom-key-store --custom-key-store-id $SECOND";
        self.works(command, "DeleteCustomKeyStore", id(&second))
            .await?;
        let command = "aws kms describe-custom-key-stores --custom-key-store-id $SECOND";
        let exception = "CustomKeyStoreNotFoundException";
        self.fails(command, "DescribeCustomKeyStores", id(&second), exception)
            .await
    }

    async fn reconnect(
        &mut self,
        store: &str,
        key: &Keys,
        secret: &Secret,
    ) -> Result<(), StoryError> {
        self.step("Reconnect it: the old ciphertext is readable again");
        self.connect_quietly(store).await?;
        self.key_state(key, "Enabled").await?;
        self.decrypt(secret).await
    }

    async fn dead_proxy(
        &mut self,
        proxy: &mut Proxy,
        store: &str,
        key: &Keys,
        secret: &Secret,
    ) -> Result<(), StoryError> {
        self.step(
            "Now kill the proxy instead: nobody disconnected, so no state changes, only calls fail",
        );
        if let Some(process_id) = proxy.process_id() {
            self.screen.command(&format!("kill -9 {process_id}"));
        }
        proxy.kill().await?;
        self.state(store, "STORE", "CONNECTED").await?;
        self.key_state(key, "Enabled").await?;
        self.fails(
            DECRYPT,
            "Decrypt",
            secret.decrypt_input(),
            "KMSInvalidStateException",
        )
        .await?;
        self.screen
            .note("The exception is that of a disconnect, its message is not.");

        self.step("Bring it back: the calls work again, with no reconnect");
        proxy.restart().await?;
        if let Some(process_id) = proxy.process_id() {
            self.screen
                .note(&format!("xks-proxy runs again, as process {process_id}."));
        }
        self.decrypt(secret).await?;
        self.state(store, "STORE", "CONNECTED").await
    }

    /// DescribeCustomKeyStores, whose answer must show this state.
    async fn state(&self, store: &str, variable: &str, expected: &str) -> Result<(), StoryError> {
        self.screen.command(&format!(
            "aws kms describe-custom-key-stores --custom-key-store-id ${variable} --query \
             'CustomKeyStores[0].ConnectionState'"
        ));
        let found = self.connection_state(store).await?;
        if found != expected {
            return Err(StoryError::Different {
                what: "ConnectionState",
                found,
            });
        }
        self.screen.success(expected);
        Ok(())
    }

    /// Waits until the store shows this state.
    async fn reaches(&self, store: &str, expected: &str) -> Result<(), StoryError> {
        let deadline = Instant::now() + TRANSITION_LIMIT;
        loop {
            let found = self.connection_state(store).await?;
            if found == expected {
                self.screen.success(&format!("then {expected}"));
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(StoryError::Different {
                    what: "ConnectionState",
                    found,
                });
            }
            sleep(POLL).await;
        }
    }

    async fn connection_state(&self, store: &str) -> Result<String, StoryError> {
        let operation = "DescribeCustomKeyStores";
        let answer = self.must_work(operation, id(store)).await?;
        text(&answer, "/CustomKeyStores/0/ConnectionState")
    }

    /// DescribeKey, whose answer must show this state.
    async fn key_state(&self, key: &Keys, expected: &str) -> Result<(), StoryError> {
        self.screen
            .command("aws kms describe-key --key-id $KEY --query KeyMetadata.KeyState");
        let answer = self
            .must_work("DescribeKey", json!({"KeyId": key.external}))
            .await?;
        let found = text(&answer, "/KeyMetadata/KeyState")?;
        if found != expected {
            return Err(StoryError::Different {
                what: "KeyState",
                found,
            });
        }
        self.screen.success(expected);
        Ok(())
    }

    /// A call that must work; shows all of its answer.
    async fn works(
        &self,
        command: &str,
        operation: &'static str,
        input: Value,
    ) -> Result<Value, StoryError> {
        let answer = self.works_quietly(command, operation, input).await?;
        self.screen.success(&match &answer {
            Value::Null => String::new(),
            answer => answer.to_string(),
        });
        Ok(answer)
    }

    /// A call that must work; the caller shows of its answer what matters.
    async fn works_quietly(
        &self,
        command: &str,
        operation: &'static str,
        input: Value,
    ) -> Result<Value, StoryError> {
        self.screen.command(command);
        self.must_work(operation, input).await
    }

    async fn must_work(&self, operation: &'static str, input: Value) -> Result<Value, StoryError> {
        for _ in 0..BUSY_LIMIT {
            match self.client.call(operation, &input).await? {
                Ok(answer) => return Ok(answer),
                Err(exception) if exception.message.contains(TIMED_OUT) => {
                    self.screen.note(
                        "This machine is busy: the proxy took more than KMS's 250 ms, twice. Once more.",
                    );
                }
                Err(exception) => {
                    return Err(StoryError::Failed {
                        operation,
                        exception: exception.name,
                        message: exception.message,
                    });
                }
            }
        }
        Err(StoryError::Busy(operation))
    }

    /// A call that must fail with this exception.
    async fn fails(
        &self,
        command: &str,
        operation: &'static str,
        input: Value,
        expected: &'static str,
    ) -> Result<(), StoryError> {
        self.screen.command(command);
        match self.client.call(operation, &input).await? {
            Ok(_) => Err(StoryError::Worked {
                operation,
                expected,
            }),
            Err(exception) if exception.name != expected => Err(StoryError::Failed {
                operation,
                exception: exception.name,
                message: exception.message,
            }),
            Err(exception) => {
                self.screen.refusal(&exception.name, &exception.message);
                Ok(())
            }
        }
    }

    fn step(&mut self, text: &str) {
        self.steps += 1;
        self.screen.step(self.steps, text);
    }
}

impl Secret {
    fn decrypt_input(&self) -> Value {
        json!({"CiphertextBlob": self.ciphertext, "EncryptionContext": {"purpose": "demo"}})
    }
}

fn id(store: &str) -> Value {
    json!({"CustomKeyStoreId": store})
}

fn text(answer: &Value, pointer: &'static str) -> Result<String, StoryError> {
    let found = answer.pointer(pointer).and_then(Value::as_str);
    found.map(str::to_owned).ok_or(StoryError::Missing(pointer))
}

/// A long text by its beginning.
fn shortened(text: &str) -> String {
    format!("{text:.40}… ({} characters of base64)", text.len())
}

/// A step that did not do what it says.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoryError {
    #[error(transparent)]
    NoAnswer(#[from] CallFailed),
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    #[error("the step went wrong: {operation} failed with {exception}: {message}")]
    Failed {
        operation: &'static str,
        exception: String,
        message: String,
    },
    #[error("the step went wrong: {0} timed out again and again; is this machine very busy?")]
    Busy(&'static str),
    #[error("the step went wrong: {operation} worked, expected {expected}")]
    Worked {
        operation: &'static str,
        expected: &'static str,
    },
    #[error("the step went wrong: {what} is {found}")]
    Different { what: &'static str, found: String },
    #[error("the step went wrong: the answer has no {0}")]
    Missing(&'static str),
}

const PLAINTEXT_BASE64: &str = "SGVsbG8sIHdvcmxk";
const DECRYPT: &str = "aws kms decrypt --ciphertext-blob fileb://<(echo $CIPHERTEXT | base64 -d) \
                       --encryption-context purpose=demo --query Plaintext --output text | base64 -d";
const GENERATE_DATA_KEY: &str = "aws kms generate-data-key --key-id $KEY --key-spec AES_256";
const TRANSITION_LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// What KMS says of a proxy that was too late.
const TIMED_OUT: &str = "did not respond in time";
const BUSY_LIMIT: usize = 5;
